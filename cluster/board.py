"""What running studies say of themselves, in the cluster's own key-value store.

The store lives in the memory of Ray's head: a cache for whoever looks (the dashboard's page, ``passivbot
status``, other studies that share the cluster). The study's log stays the truth. Each study has a few keys,
``KIND/STUDY``:

==============  ==================================================================================
``study``       :class:`Notice` as JSON, renewed every second or so; small
``definition``  the study's definition as JSON, put once
``front``       what the page shows (:func:`passivbot.study.page_data.page_data`) as JSON, renewed when it
                changed; only the page of a machine that can't read the study's folder needs it
``control``     what others want of the study, as JSON: ``{"stop": true}``, ``{"weight": 2.0}``
==============  ==================================================================================
"""

import importlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

NAMESPACE = b"passivbot"
KINDS = ("study", "definition", "front", "control")
STALE_SECONDS = 15.0
"""A running study that has been silent for so long is taken for dead."""
_SKEW_SECONDS = 3600.0
"""No clock of a cluster is off by more."""
_AGAIN_SECONDS = 3.0
KEPT_SECONDS = 7 * 86_400.0
"""So long after its last word a study that does not run any more is forgotten."""

State = Literal["starting", "running", "stopping", "finished", "stopped", "failed"]
LIVE: tuple[State, ...] = ("starting", "running", "stopping")


@dataclass(frozen=True, kw_only=True)
class Notice:
    """One study as it says it is.

    Attributes
    ----------
    id
        Key of the study: unique in the cluster, allowed are letters, digits, ``.``, ``_``, ``-``.
    name, folder, host, pid
        Of the study (its folder as absolute path), and of the process that drives it.
    state
        Of the run.
    weight
        Share of the cluster that it asks for, relative to the other running studies.
    demand
        Most workers that it can feed; 0: as many as there are.
    workers
        Workers that it has.
    started, updated
        UTC seconds, by the clock of the study's machine.
    silent
        Seconds since it last said something, as far as the reader can tell; not in the store.
    progress
        What the display shows (:class:`cluster.display.Progress`), JSON-able.
    """

    id: str
    name: str
    folder: str
    host: str
    pid: int
    state: State
    weight: float = 1.0
    demand: int = 0
    workers: int = 0
    started: float = 0.0
    updated: float = 0.0
    silent: float = 0.0
    progress: Mapping[str, Any] = field(default_factory=dict)

    @property
    def live(self) -> bool:
        """Whether the study runs, as far as it can be told."""
        return self.state in LIVE and self.silent < STALE_SECONDS

    def to_json(self) -> bytes:
        """Return the form in which it lies in the store."""
        told = asdict(self)
        del told["silent"]
        return json.dumps(told, allow_nan=False).encode()

    @classmethod
    def from_json(cls, text: bytes) -> "Notice":
        """Read what :meth:`to_json` gave; what a newer version added is left out."""
        known = json.loads(text)
        return cls(**{name: known[name] for name in cls.__dataclass_fields__ if name in known})


def key(kind: str, study: str) -> bytes:
    """Return the key of one thing a study says; ``kind`` is one of :data:`KINDS`."""
    if kind not in KINDS:
        raise ValueError(f"kind {kind!r}, allowed is one of {', '.join(KINDS)}")
    return f"{kind}/{study}".encode()


class Hearing:
    """Tells how long studies have been silent; that need not be believed of the clocks of their machines.

    Of a study that was not looked at a moment ago nothing is known but its stamp. From then on it counts when
    the stamp changes, by the reader's own clock: a study whose clock is off is alive as soon as it says more,
    and dead when it says no more.

    Parameters
    ----------
    clock
        The reader's, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: dict[str, tuple[float, float, float]] = {}  # id → stamp, last said, last looked at

    def __call__(self, notice: Notice) -> Notice:
        """Return a notice that was just read, with its silence."""
        now = self._clock()
        stamp, said, looked = self._last.get(notice.id, (0.0, 0.0, -STALE_SECONDS))
        if now - looked >= STALE_SECONDS:
            said = now - max(time.time() - notice.updated, 0.0)
        elif stamp != notice.updated:
            said = now
        self._last[notice.id] = notice.updated, said, now
        return replace(notice, silent=now - said)


class Board:
    """The store, seen from a process that is joined to the cluster (a driver or a worker), or that reads it.

    Attributes
    ----------
    head
        ``HOST:PORT`` of the cluster's head, for one that only reads; None if Ray watches it.
    """

    head: str | None = None

    def __init__(self, head: str | None = None) -> None:
        self.head = head
        self._hearing = Hearing()
        # Not public; the calls are the same from Ray 2.46 to 2.60.
        self._kv = importlib.import_module("ray.experimental.internal_kv")

    def put(self, kind: str, study: str, value: bytes) -> None:
        """Write one key."""
        self._kv._internal_kv_put(key(kind, study), value, overwrite=True, namespace=NAMESPACE)

    def get(self, kind: str, study: str) -> bytes | None:
        """Return one key's value, None if there is none."""
        found: bytes | None = self._kv._internal_kv_get(key(kind, study), namespace=NAMESPACE)
        return found

    def studies(self) -> list[Notice]:
        """Return every study that ever said something to this cluster, by id."""
        keys = self._kv._internal_kv_list(key("study", ""), namespace=NAMESPACE)
        found = [self._kv._internal_kv_get(one, namespace=NAMESPACE) for one in sorted(keys)]
        return [self._hearing(Notice.from_json(text)) for text in found if text]

    def heard(self) -> list[Notice]:
        """Return the same for a single look: of what seems dead the clock may be off, so it looks again."""
        notices = self.studies()
        if any(one.state in LIVE and STALE_SECONDS <= one.silent < _SKEW_SECONDS for one in notices):
            time.sleep(_AGAIN_SECONDS)
            notices = self.studies()
        return notices

    def tidy(self) -> None:
        """Forget studies that ended long ago: the store is in the head's memory, and each driver reads it."""
        for notice in self.studies():
            if not notice.live and time.time() - notice.updated > KEPT_SECONDS:
                self.forget(notice.id)

    def forget(self, study: str) -> None:
        """Remove all keys of a study."""
        for kind in KINDS:
            self._kv._internal_kv_del(key(kind, study), namespace=NAMESPACE)
