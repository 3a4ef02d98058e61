"""Keys and defaults against the specification and the engine."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from passivbot import engine
from passivbot.config import METRIC_WEIGHTS, Config, load_config
from passivbot.config.resources import configs_dir
from passivbot.config.schema import BOUNDS, BotSide
from passivbot.config.space import NAMES
from passivbot.config.values import date_ms, nint, parse_limits


def tables(shared_dir: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return built-in defaults and shipped template as the tables of config-format state them."""
    text = (shared_dir / "spec" / "config-format.md").read_text()
    parts = re.split(r"\n## ", text)
    section = {part[0]: part for part in parts if part[:1].isdigit()}

    def rows(part: str) -> Iterator[list[str]]:
        for line in part.splitlines():
            if line.startswith("| `"):
                yield [cell.strip().strip("`") for cell in line.strip().strip("|").split("|")]

    def column(part: str, index: int) -> dict[str, Any]:
        return {
            row[0]: json.loads(row[index])
            for row in rows(part)
            if row[index] != "—" and not row[index].startswith("section")
        }

    optimize, bounds = section["4"].split("### Bounds")
    builtin = {
        "backtest": column(section["1"], 3),
        "bot": {side: column(section["2"], 2) for side in ("long", "short")},
        "live": column(section["3"], 3),
        "optimize": column(optimize, 3),
    }
    shipped = {
        "backtest": column(section["1"], 4),
        "bot": {"long": column(section["2"], 3), "short": column(section["2"], 4)},
        "live": column(section["3"], 4),
        "optimize": column(optimize, 4),
    }
    for side, index in (("long", 2), ("short", 3)):
        for target, cells in ((builtin, 1), (shipped, index)):
            found = target["optimize"].setdefault("bounds", {})
            found |= {f"{side}_{row[0]}": json.loads(row[cells]) for row in rows(bounds)}
    return builtin, shipped


def test_builtin_defaults_are_those_of_the_specification(shared_dir: Path) -> None:
    builtin, _ = tables(shared_dir)
    ours = Config().to_dict()
    assert ours["live"].pop("base_config_path") == ""
    # The specification knows bars of a minute only.
    assert ours["backtest"].pop("candle_interval_minutes") == 1
    builtin["optimize"]["limits"] = parse_limits(builtin["optimize"]["limits"])
    assert {name: ours[name] for name in builtin} == builtin
    assert (ours["coin_overrides"], ours["logging"]) == ({}, {"level": 1})


def test_the_template_is_the_shipped_one(shared_dir: Path) -> None:
    _, shipped = tables(shared_dir)
    template = json.loads((configs_dir() / "template.json").read_text())
    assert {name: template[name] for name in shipped} == shipped


def test_parameters_and_metrics_are_those_of_the_engine() -> None:
    assert NAMES == tuple(BOUNDS) == engine.PARAMETERS
    assert tuple(sorted(set(BotSide.model_fields) - {"enforce_exposure_limit"})) == engine.SIDE_PARAMETERS
    usd = {name for name in METRIC_WEIGHTS if not name.startswith("btc_")}
    assert usd == set(engine.METRICS)
    assert len(METRIC_WEIGHTS) == 51 + 40


def test_weights_have_the_direction_of_the_metric() -> None:
    assert {name for name in METRIC_WEIGHTS if METRIC_WEIGHTS[name] not in (-1, 1)} == set()
    assert METRIC_WEIGHTS["btc_gain_per_exposure_short"] == METRIC_WEIGHTS["omega_ratio_w"] == -1
    assert METRIC_WEIGHTS["btc_expected_shortfall_1pct"] == METRIC_WEIGHTS["positions_held_per_day"] == 1
    for absent in (
        "btc_flat_btc_balance_hours",
        "btc_total_wallet_exposure_max",
        "btc_positions_held_per_day",
    ):
        assert absent not in METRIC_WEIGHTS


@pytest.mark.parametrize(
    ("value", "rounded"),
    [
        (0.0, 0.0),
        (0.5, 1.0),
        (1.5, 2.0),
        (2.5, 3.0),
        (7.057, 7.0),
        (0.49999999999999994, 0.0),
        (-0.5, -1.0),
        (-2.5, -3.0),
        (2.0**53 + 1, 2.0**53 + 1),
    ],
)
def test_slots_round_half_away_from_zero(value: float, rounded: float) -> None:
    assert nint(value) == rounded


def test_no_negative_zero() -> None:
    assert str(nint(-0.3)) == "0.0"


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2024", 1704067200000),
        ("2024-02", 1706745600000),
        ("2024-2", 1706745600000),
        ("2024-02-03", 1706918400000),
        ("2024-02-03T04:05", 1706933100000),
        ("2024-02-03T04:05:00Z", 1706933100000),
        ("2024-02-03 04:05:00+02:00", 1706925900000),
    ],
)
def test_dates(text: str, ms: int) -> None:
    assert date_ms(text) == ms


@pytest.mark.parametrize("text", ["yesterday", "2024-13", "20240101", "2024-02-30", "1"])
def test_what_is_no_date(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  (its text is Python's, and nobody sees it)
        date_ms(text)


def test_the_end_keeps_only_the_day_and_open_ends_are_none() -> None:
    config = Config.from_dict(
        {"backtest": {"start_date": "2024-01-02T03:04", "end_date": "2024-02-03T04:05"}}
    )
    assert (config.backtest.start_ms, config.backtest.end_ms) == (1704164640000, 1706918400000)
    for word in ("", "now", "Today"):
        assert Config.from_dict({"backtest": {"end_date": word}}).backtest.end_ms is None
    assert Config.from_dict({"backtest": {"start_date": ""}}).backtest.start_ms is None


def test_engine_form() -> None:
    bot = load_config(None).config.bot.to_engine()
    assert set(bot) == {"long", "short"}
    for side in bot.values():
        assert set(side) == {*engine.SIDE_PARAMETERS, "enforce_exposure_limit"}
        assert isinstance(side.pop("enforce_exposure_limit"), bool)
        assert all(type(value) is float for value in side.values())
    assert bot["long"]["n_positions"] == 7.0
