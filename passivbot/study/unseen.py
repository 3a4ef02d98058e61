"""How the members of a front do on candles that their search has not seen.

A search chooses what fits its candles, and part of that is chance. What is left of it elsewhere shows only
elsewhere: every member is run on other minutes of the same coins, on bars of a minute, and what came out
lies in the study's folder as ``unseen.json``. The log does not change, and the search never sees it.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from passivbot.backtest.candidates import Candidates
from passivbot.backtest.candles import DEMO, place_of, recorded
from passivbot.backtest.outside import LEAST_DAYS, Traded, after, before, between, traded
from passivbot.backtest.scenario import Scenario
from passivbot.config import Config, warmup_minutes
from passivbot.config.schema import SIDES
from passivbot.config.values import date_ms, is_open
from passivbot.engine import __version__ as engine_version
from passivbot.errors import CandleError, ConfigError, StudyError, located
from passivbot.study.export import write_text
from passivbot.study.page_data import plain
from passivbot.study.select import matching
from passivbot.study.study import Results, Study
from passivbot.times import DAY_MS, MINUTE_MS, utc

FILE = "unseen.json"
UNSEEN = "unseen."
"""Before the name of a metric: its value on unseen candles."""
_BATCH = 16  # members of one call: so long a Ctrl-C waits
_ACTIVITY, _GAIN = "volume_pct_per_day_avg", "gain"  # logged with every candidate


@dataclass(frozen=True, eq=False)
class Unseen:
    """What was found on unseen candles.

    Parameters
    ----------
    numbers
        int64 (n,), the candidates that were tried, ascending.
    metric_names
        The m metrics that the study logs.
    metrics
        float64 (n, m), NaN for null.
    window
        The minutes in which orders were possible.
    coins, candles, notes
        Of the scenario they ran on.
    """

    numbers: NDArray[np.int64]
    metric_names: tuple[str, ...]
    metrics: NDArray[np.float64]
    window: Traded
    coins: tuple[str, ...]
    candles: str
    notes: tuple[str, ...]

    def of(self, members: Results) -> tuple[Results, Results]:
        """Return those of some candidates that were tried: as the study has them, and as they did here."""
        seen = members.take(np.isin(members.numbers, self.numbers))
        where = np.searchsorted(self.numbers, seen.numbers)
        column = [self.metric_names.index(name) for name in members.metric_names]
        metrics = self.metrics[where][:, column]
        objectives, violations, total = members.scoring.evaluate(members.metric_names, metrics)
        there = replace(
            seen,
            rows=replace(seen.rows, metrics=metrics),
            objectives=objectives,
            violations=violations,
            total=total,
            interval_minutes=1,
        )
        return seen, there

    def document(self, study: Study) -> dict[str, Any]:
        """Return it as JSON-able dictionary; :func:`known` takes it."""
        return {
            "candles": self.candles,
            "coins": list(self.coins),
            "engine": engine_version,
            "members": {
                str(number): dict(zip(self.metric_names, plain(row), strict=True))
                for number, row in zip(self.numbers.tolist(), self.metrics, strict=True)
            },
            "notes": list(self.notes),
            "study": _identity(study),
            "window": {"first_ms": self.window.first_ms, "last_ms": self.window.last_ms},
        }

    def headline(self, study: Study) -> str:
        """Return one line: when, how long, on which coins."""
        window = study.definition.scenario["window"]
        where = "after" if self.window.first_ms > int(window["last_ms"]) else "before"
        return (
            f"unseen candles, {where} those of the study: {utc(self.window.first_ms)} to "
            f"{utc(self.window.last_ms)} UTC, {self.window.days:.1f} days; {', '.join(self.coins)}"
        )


def idle(there: Results) -> NDArray[np.bool_]:
    """Return the mask (n,) of candidates that traded nothing."""
    return ~(there.metric(_ACTIVITY) > 0)


def holds(there: Results) -> NDArray[np.bool_]:
    """Return the mask (n,) of candidates that keep all limits of the study there, and trade."""
    return there.feasible & ~idle(there)


def losses(there: Results) -> NDArray[np.float64]:
    """Return what part of its equity each candidate lost, float64 (n,); 0 or less: nothing; NaN: unknown."""
    return 1.0 - there.metric(_GAIN) if _GAIN in there.metric_names else np.full(len(there), np.nan)


def rank_correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float | None:
    """Return Spearman's rank correlation of finite pairs; None for fewer than three, or where all are equal.

    Near 1: who is better in the study is better there too. Near 0: the order in the study says nothing.
    """
    from scipy.stats import spearmanr  # half a second, which most commands need not wait

    both = np.isfinite(one) & np.isfinite(other)
    a, b = one[both], other[both]
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(spearmanr(a, b).statistic)


def examine(
    study: Study, members: Results, scenario: Scenario, advance: Callable[[int], None] | None = None
) -> Unseen:
    """Run candidates of a study on other candles.

    Parameters
    ----------
    study, members
        Whose candidates.
    scenario
        What :func:`unseen_scenario` gives.
    advance
        Told how many more candidates are done.
    """
    engine = scenario.engine()
    candidates = Candidates.of(scenario.config, scenario.coins, study.space)
    names, vectors = study.definition.metrics, members.rows.parameters
    parts = [vectors[i : i + _BATCH] for i in range(0, len(vectors), _BATCH)]
    found = []
    pool = ThreadPoolExecutor(len(os.sched_getaffinity(0)))
    try:
        for metrics in pool.map(lambda part: candidates.evaluate(engine, part, names), parts):
            found.append(metrics)
            if advance is not None:
                advance(len(metrics))
    finally:
        pool.shutdown(cancel_futures=True)  # a Ctrl-C waits for the parts that run, and no others
    return Unseen(
        members.numbers,
        names,
        np.concatenate(found) if found else np.empty((0, len(names))),
        traded(scenario),
        scenario.coins,
        scenario.candles,
        scenario.notes,
    )


def unseen_scenario(
    study: Study, candles: Path | None = None, start: str | None = None, end: str | None = None
) -> Scenario:
    """Return the candles that a study has not traded: after its window, else before it.

    Coins of the study that have no candles there are left out, and the notes say so.

    Parameters
    ----------
    study
        Its window is what was seen.
    candles
        Folder or store; None: where the study's own lie.
    start, end
        Dates in place of all there is; None: as far as there are candles.

    Raises
    ------
    ConfigError
        A date that is none, or the period overlaps the study's.
    CandleError
        Fewer than :data:`~passivbot.backtest.outside.LEAST_DAYS` days.
    """
    facts = study.definition.scenario
    place = str(facts["candles"]) if candles is None else str(candles)
    first, last = int(facts["window"]["requested_start_ms"]), int(facts["window"]["last_ms"])
    first = max(first, int(facts["window"]["first_ms"]))
    config = _for_coins(study.config, tuple(facts["coins"]))
    if candles is not None and place_of(candles) != DEMO and not candles.exists():
        raise CandleError(f"{candles}: there is no such candle folder")
    for name, text in (("--start-date", start), ("--end-date", end)):
        _require_date(name, text)
    if start is not None or end is not None:
        scenario = between(config, place, start or "", end or "now", None)
        window = traded(scenario)
        if window.first_ms <= last and window.last_ms >= first:
            raise ConfigError(
                f"the command line: {utc(window.first_ms)} to {utc(window.last_ms)} overlaps what the study "
                f"has seen, {utc(first)} to {utc(last)}; allowed are dates after or before it"
            )
        if not window.enough:
            raise CandleError(f"{place}: {window.days:.1f} days beyond the warm-up; needed are {LEAST_DAYS}")
        return scenario
    beyond, causes = 0.0, []
    for when, make, edge in (("after", after, last), ("before", before, first)):
        try:
            scenario = make(config, place, edge, None)
        except CandleError as error:
            causes.append(f"{when}: {error}")
            continue
        if (window := traded(scenario)).enough:
            return scenario
        beyond = max(beyond, window.days)
    raise CandleError(
        f"{place}: {beyond:.1f} days that the study has not seen ({utc(first)} to {utc(last)} are), needed "
        f"are {LEAST_DAYS}; --candles names a folder or store with more, `passivbot optimize --holdout DAYS` "
        f"keeps some from the search{''.join(f'; {cause}' for cause in causes)}"
    )


def may_find(study: Study) -> bool:
    """Return whether :func:`unseen_scenario` may find enough of the study's own candles; reads none.

    A study that has searched all there is has nothing to be tried on but other candles.
    """
    facts = study.definition.scenario
    place, window = str(facts["candles"]), facts["window"]
    first_ms = max(int(window["requested_start_ms"]), int(window["first_ms"]))
    warmup_ms = warmup_minutes(study.config, tuple(facts["coins"]))[0] * MINUTE_MS
    try:
        ends = recorded(place, facts).ends(facts["coins"])
    except (CandleError, KeyError, TypeError, ValueError):
        return False
    if ends is None:
        return False
    after, before = ends[1] - int(window["last_ms"]), first_ms - warmup_ms - ends[0]
    return max(after, before) >= LEAST_DAYS * DAY_MS - MINUTE_MS


def _require_date(name: str, text: str | None) -> None:
    if text is None or is_open(text):
        return
    try:
        date_ms(text)
    except ValueError:
        allowed = "YYYY, YYYY-MM, YYYY-MM-DD or a timestamp"
        raise ConfigError(located("the command line", name, text, allowed)) from None


def _for_coins(config: Config, coins: tuple[str, ...]) -> Config:
    """Return a configuration that approves just the coins of a run; both sides trade all of them."""
    update = {
        "approved_coins": {side: list(coins) for side in SIDES},
        "ignored_coins": {side: [] for side in SIDES},
    }
    return config.model_copy(update={"live": config.live.model_copy(update=update)})


def save(study: Study, found: Unseen) -> Path:
    """Write what was found into the study's folder; return the file.

    Raises
    ------
    StudyError
        The folder can't be written.
    ResourceError
        The disk is full.
    """
    path = study.folder / FILE
    write_text(path, json.dumps(found.document(study), sort_keys=True, allow_nan=False) + "\n")
    return path


def known(study: Study) -> Unseen | None:
    """Return what was found before; None if nobody asked, or another study lay here then."""
    try:
        document = json.loads((study.folder / FILE).read_bytes())
        if document["study"] != _identity(study):
            return None
        return _read(document, study.definition.metrics)
    except (OSError, ValueError, KeyError, TypeError):
        return None  # a derived file: it is made again, never repaired


def needed(study: Study) -> Unseen:
    """Return what was found before.

    Raises
    ------
    StudyError
        Nothing is known.
    """
    found = known(study)
    if found is None:
        raise StudyError(
            f"{study.folder}: its members were not tried on unseen candles; `passivbot study unseen "
            f"{study.folder}` does that"
        )
    return found


def holding(found: Unseen, members: Results) -> NDArray[np.bool_]:
    """Return the mask of members that keep all limits and trade there; one that was not tried does not."""
    _, there = found.of(members)
    return np.isin(members.numbers, there.numbers[holds(there)])


def matching_there(found: Unseen, members: Results, expression: str) -> NDArray[np.bool_]:
    """Return the mask of members for which ``METRIC<NUMBER`` holds on unseen candles.

    A member that was not tried there does not match. Raises as
    :func:`~passivbot.study.select.matching`.
    """
    _, there = found.of(members)
    return np.isin(members.numbers, there.numbers[matching(there, expression)])


def narrowed(study: Study, members: Results, conditions: Sequence[str], *, empty: bool = False) -> Results:
    """Return the members for which all conditions hold.

    Parameters
    ----------
    study, members
        Of whose front.
    conditions
        ``METRIC<NUMBER``, ``unseen.METRIC<NUMBER`` or ``--holds``.
    empty
        Whether none may be left.

    Raises
    ------
    ConfigError
        A condition is none.
    StudyError
        None is left, or its members were not tried on unseen candles.
    """
    kept = members
    for condition in conditions:
        if condition == "--holds":
            mask = holding(needed(study), kept)
        elif condition.startswith(UNSEEN):
            mask = matching_there(needed(study), kept, condition.removeprefix(UNSEEN))
        else:
            mask = matching(kept, condition)
        if len(kept) and not mask.any() and not empty:
            raise StudyError(f"{study.folder}: {condition} leaves none of {len(kept):,} members")
        kept = kept.take(mask)
    return kept


def _read(document: Mapping[str, Any], names: tuple[str, ...]) -> Unseen:
    members = sorted((int(number), metrics) for number, metrics in document["members"].items())
    metrics = np.array(
        [[np.nan if (value := row[name]) is None else value for name in names] for _, row in members],
        dtype=np.float64,
    ).reshape(len(members), len(names))
    return Unseen(
        np.array([number for number, _ in members], dtype=np.int64),
        names,
        metrics,
        Traded(int(document["window"]["first_ms"]), int(document["window"]["last_ms"])),
        tuple(map(str, document["coins"])),
        str(document["candles"]),
        tuple(map(str, document["notes"])),
    )


def _identity(study: Study) -> dict[str, Any]:
    return {"created": study.definition.created, "seed": str(study.definition.seed)}
