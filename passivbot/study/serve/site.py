"""The page's addresses and what they answer, independent of the server in which they are.

====================================  ================================================================
(empty)                               the page
``plotly.js``                         of the installed package
``api/studies``                       ``{"studies": […]}``
``api/studies/ID``                    the study; ``?after=N&stamp=S`` leaves out what the page has
``api/studies/ID/candidates/N``       one candidate
``…/candidates/N/config``             its configuration, as a file
``…/candidates/N/equity``             its equity curve, computed now
``api/studies/ID/fronts/N``           the front as it was after N candidates
====================================  ================================================================

Everything is read with GET and changes nothing. An error is ``{"error": "…"}`` with a fitting status.
"""

import json
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from passivbot.errors import PassivbotError, StudyError
from passivbot.study.export import exported
from passivbot.study.plot import html, plotly
from passivbot.study.serve.desk import Desk
from passivbot.study.serve.facts import facts

# The page runs its own script and plotly.js (which makes functions from text), and asks only its server.
POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; connect-src 'self'; frame-ancestors 'self'; base-uri 'none'; "
    "form-action 'none'"
)
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answer:
    """What goes back: status, body, type of the content, and headers besides."""

    status: int
    body: bytes
    kind: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=lambda: dict(_HEADERS))


class Site:
    """Answers requests for the page of a desk's studies; usable from several threads."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._routes: tuple[tuple[re.Pattern[str], Callable[..., Answer]], ...] = (
            (re.compile(r""), self._page),
            (re.compile(r"plotly\.js"), self._plotly),
            (re.compile(r"api/studies"), self._studies),
            (re.compile(r"api/studies/([^/]+)"), self._study),
            (re.compile(r"api/studies/([^/]+)/candidates/(\d{1,15})"), self._candidate),
            (re.compile(r"api/studies/([^/]+)/candidates/(\d{1,15})/config"), self._config),
            (re.compile(r"api/studies/([^/]+)/candidates/(\d{1,15})/equity"), self._equity),
            (re.compile(r"api/studies/([^/]+)/fronts/(\d{1,15})"), self._front),
        )

    def answer(self, path: str, query: Mapping[str, str]) -> Answer:
        """Answer a request for ``path``, relative to the page's address."""
        path = path.strip("/")
        for pattern, handler in self._routes:
            found = pattern.fullmatch(path)
            if found:
                try:
                    return handler(query, *found.groups())
                except StudyError as error:
                    return _json({"error": str(error)}, 404)
                except PassivbotError as error:
                    return _json({"error": str(error)}, 409)
                except Exception:
                    _log.exception("the page can't answer %s", path)
                    return _json({"error": "a defect in this program; its log has the details"}, 500)
        return _json({"error": f"{path[:100]}: no such address"}, 404)

    @cached_property
    def _library(self) -> tuple[bytes, str]:
        """plotly.js, and the version of its package."""
        from importlib.metadata import version

        return plotly().encode(), version("plotly")

    def _page(self, query: Mapping[str, str]) -> Answer:
        script = f'<script defer src="plotly.js?v={self._library[1]}"></script>'
        return Answer(200, html(None, script).encode(), "text/html")

    def _plotly(self, query: Mapping[str, str]) -> Answer:
        # Its address has the version in it.
        headers = {**_HEADERS, "Cache-Control": "private, max-age=604800, immutable"}
        return Answer(200, self._library[0], "text/javascript", headers)

    def _studies(self, query: Mapping[str, str]) -> Answer:
        return _json({"studies": self.desk.cards()})

    def _study(self, query: Mapping[str, str], key: str) -> Answer:
        with self.desk.using(key) as (view, reading):
            if reading:
                return _json({"id": key, "reading": reading})
            payload = view.payload(_number(query, "after"), _number(query, "stamp"))
        payload["progress"] = {**payload["progress"], **self.desk.progress(key)}
        return _json({"id": key, **payload})

    def _candidate(self, query: Mapping[str, str], key: str, number: str) -> Answer:
        with self.desk.using(key) as (view, reading):
            _complete(reading)
            found = facts(view.study, view.members, view.find(int(number)))
            return _json({**found, "replay": self.desk.replays.known(view.study, int(number))})

    def _config(self, query: Mapping[str, str], key: str, number: str) -> Answer:
        with self.desk.using(key) as (view, _):
            ((_, document),) = exported(view.study, view.find(int(number)))
        name = f"{int(number):07d}.json"
        headers = {**_HEADERS, "Content-Disposition": f'attachment; filename="{name}"'}
        text = json.dumps(document, indent=4, sort_keys=True, allow_nan=False) + "\n"
        return Answer(200, text.encode(), "application/json", headers)

    def _equity(self, query: Mapping[str, str], key: str, number: str) -> Answer:
        with self.desk.using(key) as (view, _):
            study, one = view.study, view.find(int(number))
        # Not under the lock: the page goes on being renewed meanwhile.
        return _json(self.desk.replays.run(study, one))

    def _front(self, query: Mapping[str, str], key: str, told: str) -> Answer:
        with self.desk.using(key) as (view, _):
            past = view.past_front(int(told))
        if past is None:
            raise StudyError(f"the front after {told} candidates was not kept")
        return _json(past)


def _number(query: Mapping[str, str], name: str) -> int:
    """Return a whole number of the query; −1 where it is none."""
    text = query.get(name, "")
    return int(text) if re.fullmatch(r"\d{1,15}", text) else -1


def _complete(reading: Mapping[str, Any] | None) -> None:
    if reading is not None:
        raise StudyError(f"the log is being read: {reading['told']:,} of {reading['last']:,} candidates")


def _json(value: Any, status: int = 200) -> Answer:
    return Answer(status, json.dumps(value, allow_nan=False, separators=(",", ":")).encode())
