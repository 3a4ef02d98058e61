"""What a candidate must show before it may trade; each check says its figures, whether it holds or not.

These need the study and candles alone; those that need the account stand in
:mod:`passivbot.promotion.account`.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow.compute as pc

from passivbot.backtest.outside import LEAST_DAYS, Traded, after, before, traded
from passivbot.backtest.report import Report, run_backtest
from passivbot.backtest.scenario import Scenario
from passivbot.config import Config, Scoring
from passivbot.engine import __version__ as engine_version
from passivbot.errors import CandleError
from passivbot.study.replay import logged
from passivbot.study.study import Study
from passivbot.times import utc

State = Literal["holds", "fails", "waived"]


@dataclass(frozen=True)
class Check:
    """One check: its name, whether it holds, and the figures, as a line for people and by name."""

    name: str
    state: State
    text: str
    figures: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fails(self) -> bool:
        """Whether it refuses the promotion."""
        return self.state == "fails"

    def document(self) -> dict[str, Any]:
        """Return it for the history."""
        return asdict(self) | {"figures": dict(self.figures)}


def check(name: str, holds: bool, text: str, **figures: Any) -> Check:
    """Return a check that was made."""
    return Check(name, "holds" if holds else "fails", text, figures)


def waived(name: str, reason: str) -> Check:
    """Return a check that somebody takes the responsibility for."""
    return Check(name, "waived", f"not made: {reason}")


def keeps_limits(study: Study, candidate: int) -> Check:
    """Check that the candidate ran to its end and keeps the limits of its study."""
    results = study.results(study.row(candidate))
    total = float(results.total[0])
    broken = [
        f"{limit.key} by {excess:.1%}"
        for limit, excess in zip(study.scoring.limits, results.violations[0].tolist(), strict=True)
        if excess > 0
    ]
    status = str(results.rows.status[0])
    if status != "ok":
        text = f"the candidate was {status} in the study"
    elif broken or total:
        text = f"breaks {', '.join(broken) or 'the scoring: an objective is not finite'}"
    else:
        count = len(study.scoring.limits)
        text = "keeps the limit of its study" if count == 1 else f"keeps all {count} limits of its study"
    return check("limits", total == 0.0, text, violations=broken, status=status)


def replays(study: Study, candidate: int, candles: Path | None = None) -> Check:
    """Check that the engine of this machine repeats the logged metrics to the bit.

    Parameters
    ----------
    study, candidate
        What to repeat.
    candles
        Where the candles of the study lie now; None: where they lay then.

    Raises
    ------
    CandleError
        The candles are gone, or are others.
    """
    known = logged(study, candidate)
    scenario = Scenario.replay(known.config, study.definition.scenario, candles)
    deviations = known.deviations(known.run(scenario))
    versions = f"engine {engine_version}"
    if study.definition.engine != engine_version:
        versions += f", logged by {study.definition.engine}"
    count = len(known.metrics)
    if deviations:
        text = f"{len(deviations)} of {count} metrics differ from the log ({versions}): {deviations[0]}"
    else:
        text = f"all {count} logged metrics are repeated to the bit ({versions})"
    return check(
        "replay", not deviations, text, metrics=count, different=len(deviations), engine=engine_version
    )


def unseen(study: Study, config: Config, candles: Path | None = None) -> Check:
    """Check the configuration on minutes that its study has not seen: after its window, else before it.

    It runs on bars of a minute, whatever the study ran on, since that is what a bot meets. The limits of the
    study must hold there, something must be traded, and the equity must stay above 0.

    Parameters
    ----------
    study
        Its window is what was seen.
    config
        What would be traded.
    candles
        Folder or store with more candles of the same coins; None: where the study's own lie.

    Raises
    ------
    CandleError
        The folder is not readable.
    """
    window = study.definition.scenario["window"]
    place = candles if candles is not None else study.definition.scenario["candles"]
    seen_first, seen_last = int(window["first_ms"]), int(window["last_ms"])
    seen = f"{utc(seen_first)} to {utc(seen_last)}"
    causes = []
    coins = _coins(config, study)
    for when, make, edge in (("after", after, seen_last), ("before", before, seen_first)):
        try:
            scenario = make(config, str(place), edge, coins)
        except CandleError as error:
            causes.append(f"{when}: {error}".replace("--coins", "--set live.ignored_coins=…"))
            continue
        window_there = traded(scenario)
        if window_there.enough:
            return _judged(run_backtest(scenario), study.scoring, window_there)
        causes.append(f"{when}: {window_there.days:.1f} days, needed are {LEAST_DAYS}")
    return check(
        "unseen data",
        False,
        f"too few candles outside of what the study saw ({seen}); {'; '.join(causes)}; --unseen names a "
        "folder with more",
    )


def _coins(config: Config, study: Study) -> tuple[str, ...]:
    """Return the coins of the study that the configuration approves; all of them where that leaves none."""
    coins = tuple(study.definition.scenario["coins"])
    approved = config.live.named_coins
    ignored = [set(side) for side in config.live.ignored_coins.values()]
    kept = tuple(coin for coin in coins if coin in approved and not all(coin in side for side in ignored))
    return kept or coins


def _judged(report: Report, scoring: Scoring, window: Traded) -> Check:
    metrics = report.metrics
    names = scoring.metrics
    values = [float("nan") if (value := metrics.get(name)) is None else value for name in names]
    _, violations, _ = scoring.evaluate(names, np.array([values]))
    broken = [
        f"{limit.key} {_number(metrics.get(limit.metric))} against {limit.value:g}"
        for limit, excess in zip(scoring.limits, violations[0].tolist(), strict=True)
        if excess > 0
    ]
    fills = report.result.fills.num_rows
    lowest = float(pc.min(report.result.equity.column("usd")).as_py())
    shown = {name: metrics.get(name) for name in ("gain", "adg", "drawdown_worst", *names)}
    causes = [*broken]
    if not fills:
        causes.insert(0, "nothing is traded")
    if lowest <= 0:
        causes.insert(0, "the equity falls to 0")
    figures = ", ".join(f"{name} {_number(value)}" for name, value in shown.items())
    text = (
        f"{window.days:.1f} days, {utc(window.first_ms)} to {utc(window.last_ms)}, {fills:,} fills: {figures}"
    )
    gain = metrics.get("gain")
    if causes:
        text = f"{'; '.join(causes)} ({text})"
    elif gain is not None and gain < 1:
        text = f"the limits hold, but it loses {100 * (1 - gain):.2g} % ({text})"
    return check(
        "unseen data",
        not causes,
        text,
        coins=list(report.scenario.coins),
        days=round(window.days, 2),
        fills=fills,
        first_ms=window.first_ms,
        last_ms=window.last_ms,
        lowest_equity=lowest,
        metrics=shown,
    )


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4g}"
