import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from passivbot.backtest import Scenario, provenance
from passivbot.config import Config, load_config, warmup_minutes
from passivbot.errors import CandleError, ConfigError
from passivbot.market import generate, write_folder

from .conftest import DAY_MS, START_MS


def load(write_config: Any, **sections: Any) -> Config:
    return load_config(write_config(**sections)).config


def live(**keys: Any) -> dict[str, Any]:
    return {"approved_coins": [], "empty_means_all_approved": True, "max_warmup_minutes": 600} | keys


def test_open_dates_take_the_whole_folder(config: Config, candles: Path) -> None:
    scenario = Scenario.prepare(config, candles)
    assert scenario.coins == ("BTC", "ETH", "SOL")
    assert (scenario.panel.first_ms, scenario.panel.minutes) == (START_MS, 6 * 1440)
    assert scenario.requested_start_ms == START_MS
    assert (scenario.maker_fee, scenario.starting_balance, scenario.btc_usd) == (0.0002, 1000.0, None)
    assert scenario.notes == ()


def test_panel_begins_the_warmup_before_the_start(write_config: Any, candles: Path) -> None:
    config = load(write_config, backtest={"start_date": "2025-03-05", "end_date": "2025-03-07"})
    scenario = Scenario.prepare(config, candles)
    warmup, _ = warmup_minutes(config, scenario.coins)
    assert warmup == 600
    assert scenario.requested_start_ms == START_MS + 2 * DAY_MS
    assert scenario.panel.first_ms == START_MS + 2 * DAY_MS - 600 * 60_000
    assert scenario.panel.last_ms == START_MS + 4 * DAY_MS
    fills = scenario.engine().backtest(config.bot.to_engine(), None, warmup).fills
    assert fills.num_rows
    assert fills["minute"][0].as_py() > 600


def test_approved_coins_without_candles_are_left_out_and_noted(write_config: Any, candles: Path) -> None:
    config = load(write_config, live=live(approved_coins=["ETH", "SOL", "XRP"], ignored_coins=["SOL"]))
    scenario = Scenario.prepare(config, candles)
    assert scenario.coins == ("ETH",)
    assert scenario.notes == (f"{candles} has no candles of XRP: left out",)


def test_no_approved_coin_has_candles(write_config: Any, candles: Path) -> None:
    config = load(write_config, live=live(approved_coins=["XRP", "DOGE"]))
    with pytest.raises(ConfigError) as caught:
        Scenario.prepare(config, candles)
    assert str(caught.value) == (
        f"{candles}: none of the approved coins (DOGE, XRP) has candles here; there are BTC, ETH, SOL; "
        "--coins all takes these"
    )
    assert Scenario.prepare(config, candles, coins=["all"]).coins == ("BTC", "ETH", "SOL")


def test_empty_list_means_none_unless_it_means_all(write_config: Any, candles: Path) -> None:
    config = load(write_config, live=live(empty_means_all_approved=False))
    with pytest.raises(ConfigError, match="no coin"):
        Scenario.prepare(config, candles)


def test_named_coins(config: Config, candles: Path) -> None:
    assert Scenario.prepare(config, candles, coins=["SOLUSDT", "BTC"]).coins == ("BTC", "SOL")
    with pytest.raises(CandleError) as caught:
        Scenario.prepare(config, candles, coins=["BTC", "ETC"])
    assert str(caught.value) == f"{candles}: has no candles of ETC; the nearest is ETH"


def test_named_coin_without_candles_in_the_window(write_config: Any, candles: Path) -> None:
    # SOL is listed after a day and a half.
    config = load(write_config, backtest={"start_date": "", "end_date": "2025-03-04"})
    assert Scenario.prepare(config, candles).notes == ("SOL is left out: no candles in the window",)
    with pytest.raises(CandleError) as caught:
        Scenario.prepare(config, candles, coins=["BTC", "SOL"])
    assert str(caught.value) == f"{candles}: SOL has no candles in the window; leave it out of --coins"


def test_window_outside_the_candles(write_config: Any, candles: Path) -> None:
    config = load(write_config, backtest={"start_date": "2024-01-01", "end_date": "2024-02-01"})
    with pytest.raises(CandleError) as caught:
        Scenario.prepare(config, candles)
    assert str(caught.value) == (
        f"{candles}: no candles between 2024-01-01 00:00 and 2024-02-01 00:00; "
        "those of the chosen coins run from 2025-03-03 00:00 to 2025-03-08 23:59"
    )


def test_panel_shorter_than_the_warmup(write_config: Any, candles: Path) -> None:
    config = load(write_config, live=live(max_warmup_minutes=0, warmup_ratio=9))
    with pytest.raises(CandleError) as caught:
        Scenario.prepare(config, candles)
    warmup = warmup_minutes(config, ["BTC", "ETH", "SOL"])[0]
    assert warmup > 6 * 1440
    assert str(caught.value) == (
        f"{candles}: 8640 minutes of candles, 2025-03-03 00:00 to 2025-03-08 23:59, are not more than the "
        f"warm-up of {warmup} minutes; take a longer window, or lower live.warmup_ratio or "
        "live.max_warmup_minutes"
    )


def test_warmup_limit_is_where_the_first_fill_can_be(write_config: Any, tmp_path: Path) -> None:
    """With one minute less than is accepted, not even an entry at the market can fill."""
    flat = np.full(54, 100.0)
    table = pa.table(
        {
            "timestamp": START_MS + np.arange(54) * 60_000,
            "high": flat * 1.01,
            "low": flat * 0.99,
            "close": flat,
            "volume": flat,
        }
    )
    eager = {"entry_initial_ema_dist": -0.001, "n_positions": 1, "total_wallet_exposure_limit": 1.0}
    config = load(write_config, live=live(max_warmup_minutes=50), bot={"long": eager, "short": {}})
    fills: dict[int, Any] = {}
    for minutes in (53, 54):
        folder = write_folder(tmp_path / str(minutes), {"BTC": table.slice(0, minutes)})
        try:
            scenario = Scenario.prepare(config, folder.path)
        except CandleError as error:
            fills[minutes] = str(error).split(", are ")[1].split(";")[0]
            continue
        found = scenario.engine().backtest(config.bot.to_engine(), None, 50, 0).fills["minute"]
        fills[minutes] = found.unique().to_pylist()
    assert fills == {53: "not more than the warm-up of 50 minutes", 54: [52]}


def test_age_counts_only_where_the_listing_is_stated(write_config: Any, tmp_path: Path) -> None:
    tables, rules = generate({"BTC": "calm", "ETH": "calm", "SOL": "calm"}, seed=1, minutes=6 * 1440)
    write_folder(tmp_path / "set", tables, rules, maker_fee=0.0)
    file = tmp_path / "set" / "markets.json"
    markets = json.loads(file.read_text())
    markets["ETH"]["listing_date"] = "2025-03-01T12:00"
    markets["SOL"]["listing_date"] = "2025-03-08"
    file.write_text(json.dumps(markets))
    config = load(write_config, live=live(minimum_coin_age_days=3.5))
    scenario = Scenario.prepare(config, tmp_path / "set")
    assert scenario.coins == ("BTC", "ETH")
    assert scenario.panel.first_valid == (0, 2 * 1440)
    assert scenario.coin_start_ms == {"ETH": START_MS + 2 * DAY_MS}
    assert scenario.notes == (
        "ETH takes part from 2025-03-05 00:00 on: before that it is too young",
        "SOL is left out: it is old enough only from 2025-03-11 12:00 on",
    )
    young = load(write_config, live=live(minimum_coin_age_days=0))
    assert Scenario.prepare(young, tmp_path / "set").coins == ("BTC", "ETH", "SOL")


def test_btc_collateral_needs_and_takes_btc(write_config: Any, candles: Path, tmp_path: Path) -> None:
    config = load(write_config, backtest={"use_btc_collateral": True, "start_date": "2025-03-04"})
    scenario = Scenario.prepare(config, candles, coins=["ETH"])
    assert scenario.btc_usd is not None
    btc = pq.read_table(candles / "BTC.parquet")
    skipped = (scenario.panel.first_ms - START_MS) // 60_000
    assert scenario.btc_usd.tolist() == btc["close"].to_pylist()[skipped:]
    (tmp_path / "set").mkdir()
    shutil.copy(candles / "ETH.parquet", tmp_path / "set")
    with pytest.raises(CandleError) as caught:
        Scenario.prepare(config, tmp_path / "set")
    assert str(caught.value) == f"{tmp_path}/set: backtest.use_btc_collateral needs BTC.parquet in it"


def test_description_gives_the_scenario_back(write_config: Any, candles: Path) -> None:
    config = load(write_config, backtest={"use_btc_collateral": True, "start_date": "2025-03-04"})
    scenario = Scenario.prepare(config, candles)
    facts = json.loads(json.dumps(scenario.describe()))
    assert facts == scenario.describe()
    # Neither dates nor bounds of the configuration matter any more.
    other = load(write_config, backtest={"starting_balance": 5}, live=live(max_warmup_minutes=900))
    again = Scenario.replay(other, facts)
    assert again.describe() == facts
    assert again.markets == scenario.markets
    np.testing.assert_array_equal(again.btc_usd, scenario.btc_usd)


def test_replay_refuses_other_and_missing_candles(config: Config, candles: Path, tmp_path: Path) -> None:
    facts = Scenario.prepare(config, candles).describe()
    other = tmp_path / "set"
    shutil.copytree(candles, other)
    assert Scenario.replay(config, facts, other).digest == facts["digest"]
    table = pq.read_table(other / "ETH.parquet")
    volume = table["volume"].to_numpy().copy()
    volume[1000] += 0.001
    pq.write_table(
        table.set_column(table.column_names.index("volume"), "volume", [volume]), other / "ETH.parquet"
    )
    with pytest.raises(CandleError) as caught:
        Scenario.replay(config, facts, other)
    assert str(caught.value).startswith(f"{other}: these are not the candles of the recorded run (digest ")
    assert str(caught.value).endswith(
        f"recorded {facts['candles_digest'][:12]}); --other-candles runs on them anyway"
    )
    shutil.rmtree(other)
    with pytest.raises(
        CandleError, match="the candles that this was run on are gone; name them with --candles"
    ):
        Scenario.replay(config, facts | {"candles": str(other)})


@pytest.mark.parametrize("broken", ["window", "coins", "market_rules", "maker_fee"])
def test_damaged_description(config: Config, candles: Path, broken: str) -> None:
    facts = Scenario.prepare(config, candles).describe() | {broken: None}
    with pytest.raises(ConfigError, match="the scenario recorded in the configuration is damaged"):
        Scenario.replay(config, facts)


def test_digest_binds_rules_fee_balance_and_start(write_config: Any, candles: Path, tmp_path: Path) -> None:
    config = load(write_config)
    first = Scenario.prepare(config, candles)
    assert Scenario.prepare(config, candles).digest == first.digest
    richer = Scenario.prepare(load(write_config, backtest={"starting_balance": 1001}), candles)
    shutil.copytree(candles, tmp_path / "set")
    file = tmp_path / "set" / "markets.json"
    file.write_text(file.read_text().replace('"min_cost": 5.0', '"min_cost": 5.5', 1))
    stricter = Scenario.prepare(config, tmp_path / "set")
    dearer = tmp_path / "set2"
    shutil.copytree(candles, dearer)
    (dearer / "markets.json").write_text((candles / "markets.json").read_text().replace("0.0002", "0.0003"))
    digests = {first.digest, richer.digest, stricter.digest, Scenario.prepare(config, dearer).digest}
    assert len(digests) == 4
    assert {first.candles_digest} == {richer.candles_digest, stricter.candles_digest}


def test_demo_candles_without_a_folder(config: Config) -> None:
    scenario = Scenario.prepare(config)
    assert scenario.describe()["candles"] == "demo"
    assert Scenario.replay(config, scenario.describe()).digest == scenario.digest


def test_demo_candles_that_do_not_do(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who named no candles hears where they were looked for, and never of a folder inside the program."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CandleError) as caught:
        Scenario.prepare(config, coins=("TAO",))
    assert str(caught.value) == (
        "candles: there is no candle store here, and the demo candles do not do (the demo candles: has no "
        "candles of TAO; it has BTC, DOGE, ETH, LINK, SOL, XRP); `passivbot data download` brings candles, "
        "--candles names a folder of them"
    )
    with pytest.raises(CandleError, match=r"^the demo candles: has no candles of TAO"):
        Scenario.prepare(config, "demo", coins=("TAO",))


def test_a_persons_own_file_has_no_provenance(config: Config) -> None:
    assert provenance(config) == {}
