"""From a configuration file to the scenario it runs on: a person's own file, or one that records its run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from passivbot.backtest.candles import DEMO
from passivbot.backtest.scenario import PROVENANCE, STOP_LIMITS, Scenario, provenance
from passivbot.config import Config, Finding, load_config
from passivbot.config.schema import SIDES
from passivbot.engine import STOPPED_MINUTE
from passivbot.errors import ConfigError

_DEMO_NOTE = "these are the embedded demo candles, synthetic, of six coins and 14 days"
_OF_SCENARIO = {
    "backtest": (
        "end_date",
        "gap_tolerance_ohlcvs_minutes",
        "start_date",
        "starting_balance",
        "use_btc_collateral",
    ),
    "live": ("approved_coins", "empty_means_all_approved", "ignored_coins", "minimum_coin_age_days"),
}
"""Keys that act on a run by its scenario alone, and so have no effect where the scenario is recorded."""


@dataclass(frozen=True)
class Run:
    """What one call of ``passivbot backtest`` runs.

    Parameters
    ----------
    scenario
        Candles and configuration.
    findings
        What in the configuration is most likely not meant.
    recorded
        Metrics that the run must repeat; empty unless it repeats a recorded run with nothing changed.
        ``stopped_minute`` is among them if that run was to stop early.
    limits
        Those at which the recorded run was to stop early; None: it runs to its end.
    screened
        Metrics of the recorded run where nothing but the length of the bars is changed; to compare with.
    screened_minutes
        Minutes of a bar there.
    """

    scenario: Scenario
    findings: tuple[Finding, ...]
    recorded: Mapping[str, float | None]
    limits: Mapping[str, float] | None = None
    screened: Mapping[str, float | None] = field(default_factory=dict)
    screened_minutes: int = 1


def prepare_run(
    source: Path | None,
    candles: Path | None = None,
    *,
    coins: Sequence[str] | None = None,
    sets: Sequence[str] = (),
    options: Mapping[str, str] | None = None,
    other_candles: bool = False,
) -> Run:
    """Load a configuration and prepare what it runs on.

    A configuration that records its scenario (a front member, a report's ``config.json``) gets that scenario
    back, from where the candles lay or from ``candles``, also where other bars are asked for; with
    ``other_candles`` it is run like any other, with the recorded coins unless ``coins`` names others.

    Raises
    ------
    ConfigError
        Wrong configuration, or a change to a recorded scenario without ``other_candles``.
    CandleError
        Unusable candles, or others than the recorded ones without ``other_candles``.
    """
    loaded = load_config(source, sets=sets, options=options)
    config, record = loaded.config, provenance(loaded.config)
    if not record:
        scenario = Scenario.prepare(config, candles, coins=coins)
        return Run(_noted(scenario), loaded.findings, {})
    if other_candles:
        place = str(record.get("candles", DEMO)) if candles is None else candles
        config = _without_record(config)
        if coins is None:
            config = _with_coins(config, record)
        scenario = Scenario.prepare(config, place, coins=coins)
        return Run(_noted(scenario), loaded.findings, {})
    before = load_config(source).config if sets or options else config
    changed = ["--coins"] if coins is not None else []
    changed += _changed_keys(config, before)
    if changed:
        raise ConfigError(
            f"{loaded.source}: records the scenario of its run, which {changed[0]} would change; "
            "--other-candles allows it"
        )
    metrics = record.get("metrics")
    recorded = metrics if isinstance(metrics, Mapping) else {}
    bars = record.get("interval_minutes", 1)
    same_bars = config.backtest.candle_interval_minutes == bars
    if same_bars and not (sets or options):
        limits = record.get(STOP_LIMITS)
        if isinstance(limits, Mapping):
            recorded = {**recorded, STOPPED_MINUTE: record.get(STOPPED_MINUTE)}
        else:
            limits = None
        return Run(Scenario.replay(config, record, candles), loaded.findings, recorded, limits)
    scenario = Scenario.replay(_without_record(config), record, candles)
    # What was stopped early has the metrics of a part of the minutes, which compare with nothing.
    stopped = record.get(STOPPED_MINUTE) is not None
    if same_bars or stopped or _with_interval(config, before).to_dict() != before.to_dict():
        return Run(scenario, loaded.findings, {})
    return Run(scenario, loaded.findings, {}, screened=recorded, screened_minutes=bars)


def _changed_keys(config: Config, before: Config) -> list[str]:
    return [
        f"{section}.{key}"
        for section, keys in _OF_SCENARIO.items()
        for key in keys
        if getattr(getattr(config, section), key) != getattr(getattr(before, section), key)
    ]


def _with_interval(config: Config, before: Config) -> Config:
    """Return the configuration with the bars of another."""
    interval = before.backtest.candle_interval_minutes
    backtest = config.backtest.model_copy(update={"candle_interval_minutes": interval})
    return config.model_copy(update={"backtest": backtest})


def _without_record(config: Config) -> Config:
    """Return the configuration as one of its own: its report must not claim to be the recorded run."""
    return Config.from_dict({key: value for key, value in config.to_dict().items() if key != PROVENANCE})


def _with_coins(config: Config, record: Mapping[str, Any]) -> Config:
    """Return the configuration with the recorded coins approved."""
    coins = tuple(record.get("coins", ()))
    live = config.live.model_copy(update={"approved_coins": {side: coins for side in SIDES}})
    return config.model_copy(update={"live": live})


def _noted(scenario: Scenario) -> Scenario:
    return scenario.with_note(_DEMO_NOTE) if scenario.candles == DEMO else scenario
