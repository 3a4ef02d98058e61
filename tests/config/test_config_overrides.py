"""Overrides of single coins (config-format §6)."""

import json
from pathlib import Path
from typing import Any

import pytest

from passivbot.config.load import Loaded, load_mapping


def load(overrides: dict[str, Any], file: Path = Path("c.json"), sets: tuple[str, ...] = ()) -> Loaded:
    raw = {
        "bot": {"long": {"ema_span_0": 100, "ema_span_1": 200}, "short": {"ema_span_0": 300}},
        "live": {"leverage": 10},
        "coin_overrides": overrides,
    }
    return load_mapping(raw, file, sets=sets)


def test_only_what_differs_is_an_override() -> None:
    result = load(
        {
            "1000SHIBUSDT": {
                "bot": {"long": {"ema_span_0": 100, "ema_span_1": 201}, "short": {"ema_span_0": 300.0}}
            },
            "BTC": {"bot": {"long": {"enforce_exposure_limit": 1}}, "live": {"leverage": 10}},
            "ETH": {
                "live": {"leverage": 5, "forced_mode_long": "p"},
                "bot": {"short": {"wallet_exposure_limit": 0}},
            },
        }
    )
    assert result.findings == ()
    assert result.config.coin_overrides == {
        "ETH": {
            "bot": {"short": {"wallet_exposure_limit": 0.0}},
            "live": {"forced_mode_long": "p", "leverage": 5.0},
        },
        "SHIB": {"bot": {"long": {"ema_span_1": 201.0}}},
    }
    assert result.config.engine_overrides(["BTC", "ETH", "SHIB"]) == {
        "ETH": {"short": {"wallet_exposure_limit": 0.0}},
        "SHIB": {"long": {"ema_span_1": 201.0}},
    }
    assert result.config.engine_overrides(["BTC"]) == {}


def test_it_differs_from_what_the_layers_gave() -> None:
    override = {"BTC": {"bot": {"long": {"ema_span_0": 100}}}}
    assert load(override).config.coin_overrides == {}
    changed = load(override, sets=("bot.long.ema_span_0=50",))
    assert changed.config.engine_overrides(["BTC"]) == {"BTC": {"long": {"ema_span_0": 100.0}}}


@pytest.mark.parametrize(
    ("override", "key", "message"),
    [
        ({"bot": {"long": {"n_positions": 3}}}, "bot.long.n_positions",
         "acts on the whole side and can't be set for a single coin; it is left out"),
        ({"bot": {"short": {"ema_span0": 3}}}, "bot.short.ema_span0",
         "is not a key of an override and is left out (nearest known key: ema_span_0)"),
        ({"live": {"user": "x"}}, "live.user", "is not a key of an override and is left out"),
        ({"bot": {"both": {}}}, "bot.both", "is not a key of an override and is left out"),
        ({"optimize": {}}, "optimize", "is not a key of an override and is left out"),
        ({"override_config_path": "none.json"}, "override_config_path",
         "is not used: none.json: there is no such file"),
        ({"override_config_path": 3}, "override_config_path",
         "is not used: c.json: coin_overrides.BTC.override_config_path is 3; allowed is a path"),
    ],
)  # fmt: skip
def test_what_is_left_out_is_reported(override: dict[str, Any], key: str, message: str) -> None:
    result = load({"BTC": override})
    assert result.config.coin_overrides == {}
    assert [str(f) for f in result.findings] == [f"c.json: coin_overrides.BTC.{key}: {message}"]


def test_override_files(tmp_path: Path) -> None:
    other = {
        "bot": {
            "long": {"ema_span_0": 111, "ema_span_1": 200, "n_positions": 4},
            "short": {"ema_span_0": 333},
        },
        "live": {"leverage": 3, "user": "other"},
        "coin_overrides": {"BTC": {"override_config_path": "btc.json"}},
    }
    (tmp_path / "btc.json").write_text(json.dumps(other))
    result = load(
        {
            "BTC": {
                "override_config_path": "btc.json",
                "bot": {"long": {"ema_span_0": 100}, "short": {"ema_span_0": 9}},
            }
        },
        tmp_path / "c.json",
    )
    assert result.findings == ()
    kept = result.config.coin_overrides["BTC"]
    # 100 is the main value: it is no override, so the file's 111 stays (rules 2 and 3).
    assert kept["bot"]["long"]["ema_span_0"] == 111.0
    assert kept["bot"]["short"]["ema_span_0"] == 9.0
    assert kept["live"] == {"leverage": 3.0}
    assert "ema_span_1" not in kept["bot"]["long"]
    assert "n_positions" not in kept["bot"]["long"]


def test_override_files_that_are_no_configuration_count_as_none(tmp_path: Path) -> None:
    (tmp_path / "btc.json").write_text("[]")
    result = load(
        {"BTC": {"override_config_path": "btc.json", "bot": {"long": {"ema_span_0": 7}}}}, tmp_path / "c.json"
    )
    assert result.config.engine_overrides(["BTC"]) == {"BTC": {"long": {"ema_span_0": 7.0}}}
    assert [f.key for f in result.findings] == ["coin_overrides.BTC.override_config_path"]


def test_the_command_line_can_override_a_coin() -> None:
    sets = (
        "coin_overrides.BTC.bot.long.ema_span_0=7",
        "coin_overrides.BTC.bot.long.enforce_exposure_limit=no",
        "coin_overrides.BTC.bot.short.wallet_exposure_limit=0.3",
        "coin_overrides.BTC.live.forced_mode_long=panic",
    )
    assert load({}, sets=sets).config.coin_overrides == {
        "BTC": {
            "bot": {
                "long": {"ema_span_0": 7.0, "enforce_exposure_limit": False},
                "short": {"wallet_exposure_limit": 0.3},
            },
            "live": {"forced_mode_long": "panic"},
        }
    }
