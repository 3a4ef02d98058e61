"""Warm-up minutes (trading-semantics §7.1)."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from passivbot.config import Config, ParameterSpace, WarmupRule, warmup_minutes
from passivbot.config.load import load_mapping
from passivbot.config.schema import BOUNDS, SIDES

SPANS = ("ema_span_0", "ema_span_1", "filter_volume_ema_span", "filter_log_range_ema_span")
HOURS = "entry_grid_spacing_log_span_hours"


def load(
    bot: dict[str, Any] | None = None,
    overrides: dict[str, Any] | None = None,
    bounds: dict[str, Any] | None = None,
    **live: Any,
) -> Config:
    """Return a configuration whose spans and bounds are all 1 unless stated."""
    ones = dict.fromkeys((*SPANS, HOURS), 1)
    tight = {name: 1 for name in BOUNDS if name.partition("_")[2] in ones}
    raw = {
        "bot": {side: ones | (bot or {}).get(side, {}) for side in SIDES},
        "live": {"warmup_ratio": 1} | live,
        "coin_overrides": overrides or {},
        "optimize": {"bounds": tight | (bounds or {})},
    }
    return load_mapping(raw, Path("c.json")).config


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", SPANS)
def test_every_span_counts_on_both_sides(side: str, name: str) -> None:
    assert warmup_minutes(load({side: {name: 100.5}}), ["BTC"]) == (101, {"BTC": 101})
    assert warmup_minutes(load(bounds={f"{side}_{name}": [2, 100.5]}), ["BTC"]) == (101, {"BTC": 60})


@pytest.mark.parametrize("side", SIDES)
def test_hours_count_as_sixty_minutes(side: str) -> None:
    assert warmup_minutes(load({side: {HOURS: 2}}), ["BTC"]) == (120, {"BTC": 120})
    assert warmup_minutes(load(bounds={f"{side}_{HOURS}": 3}), ["BTC"]) == (180, {"BTC": 60})


@pytest.mark.parametrize(
    ("live", "minutes"),
    [
        ({"warmup_ratio": 0.2}, 200),
        ({"warmup_ratio": 0.2001}, 201),
        ({"warmup_ratio": 0}, 0),
        ({"warmup_ratio": -1}, 0),
        ({"max_warmup_minutes": 90.5}, 91),
        ({"max_warmup_minutes": -5}, 1000),
        ({"max_warmup_minutes": 5000}, 1000),
    ],
)
def test_ratio_and_cap(live: dict[str, float], minutes: int) -> None:
    config = load({"long": {"ema_span_0": 1000}}, **live)
    assert warmup_minutes(config, ["BTC"]) == (minutes, {"BTC": minutes})


def test_overrides_count_for_their_coin_and_for_all() -> None:
    config = load(
        {"long": {"ema_span_0": 500}},
        {"BTC": {"bot": {"long": {"ema_span_0": 100}}}, "ETH": {"bot": {"short": {HOURS: 20}}}},
    )
    assert warmup_minutes(config, ["BTC", "ETH", "XRP"]) == (1200, {"BTC": 100, "ETH": 1200, "XRP": 500})
    assert warmup_minutes(config, ["BTC", "XRP"]) == (500, {"BTC": 100, "XRP": 500})


def test_spans_below_nothing_need_no_warmup() -> None:
    below = dict.fromkeys((*SPANS, HOURS), -3)
    bounds = {name: -3 for name in BOUNDS if name.partition("_")[2] in below}
    config = load({"long": below, "short": below}, bounds=bounds)
    assert warmup_minutes(config, ["BTC"]) == (0, {"BTC": 0})
    rule = WarmupRule.from_config(config, ["BTC"])
    matrix = ParameterSpace.from_config(config).vector(config)[None, :]
    assert [part.tolist() for part in rule.for_matrix(matrix)] == [[0], [[0]]]


values = st.floats(-100, 5000)
override = st.dictionaries(
    st.sampled_from(SIDES), st.dictionaries(st.sampled_from([*SPANS, HOURS, "entry_initial_qty_pct"]), values)
)


@settings(max_examples=80, deadline=None)
@given(
    matrix=arrays(np.float64, (4, 58), elements=values),
    overrides=st.dictionaries(st.sampled_from(["BTC", "ETH", "ADA"]), override),
    ratio=st.floats(0, 2),
    cap=st.sampled_from([0.0, 33.3, 1e4]),
)
def test_many_at_once_are_what_each_one_is(
    matrix: np.ndarray, overrides: dict[str, Any], ratio: float, cap: float
) -> None:
    coins = ["ADA", "BTC", "XRP"]
    of_coins = {coin: {"bot": bot} for coin, bot in overrides.items()}
    config = load(overrides=of_coins, warmup_ratio=ratio, max_warmup_minutes=cap)
    space = ParameterSpace.from_config(config)
    together, per_coin = WarmupRule.from_config(config, coins).for_matrix(matrix)
    assert (together.dtype, per_coin.dtype, per_coin.shape) == (np.int64, np.int64, (4, 3))
    for row, minutes, each in zip(matrix, together, per_coin, strict=True):
        expected, by_coin = warmup_minutes(space.apply(config, row), coins)
        assert minutes == expected
        assert each.tolist() == [by_coin[coin] for coin in coins]
        assert minutes >= max(each)


def test_the_template() -> None:
    """Computed by hand: 2688 hours × 60 × 0.2 and 72 hours × 60 × 0.2."""
    from passivbot.config import load_config

    config = load_config(None).config
    assert warmup_minutes(config, ["BTC"]) == (32256, {"BTC": 864})
    assert math.ceil(2688 * 60 * 0.2) == 32256
