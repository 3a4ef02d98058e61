import json
from pathlib import Path
from typing import Any

import pytest

from passivbot.engine import MarketRules
from passivbot.errors import CandleError
from passivbot.market import CandleFolder
from passivbot.market.folder import DEFAULT_MAKER_FEE, DEFAULT_RULES

from .conftest import Write

RULES = {"qty_step": 0.01, "price_step": 0.1, "min_qty": 0.02, "min_cost": 0, "c_mult": 10}


def folder_with(path: Path, write: Write, markets: Any) -> CandleFolder:
    write("BTC")
    write("ETH")
    (path / "markets.json").write_text(markets if isinstance(markets, str) else json.dumps(markets))
    return CandleFolder.open(path)


def test_coins_are_the_files_ascending(write: Write, tmp_path: Path) -> None:
    for coin in ("XRP", "BTC", "1000SHIBUSDT", ".hidden"):
        write(coin)
    folder = CandleFolder.open(tmp_path)
    assert folder.coins == ("BTC", "SHIB", "XRP")
    assert folder.file("SHIB") == tmp_path / "1000SHIBUSDT.parquet"


def test_rules_and_fees_of_the_file(write: Write, tmp_path: Path) -> None:
    folder = folder_with(tmp_path, write, {"maker_fee": 0.0003, "BTC": RULES, "ETH": RULES | {"min_cost": 5}})
    rules, fee, notes = folder.market_rules(["ETH", "BTC"])
    assert rules == {
        "BTC": MarketRules(0.01, 0.1, 0.02, 0.0, 10.0),
        "ETH": MarketRules(0.01, 0.1, 0.02, 5.0, 10.0),
    }
    assert list(rules) == ["BTC", "ETH"]
    assert (fee, notes) == (0.0003, ())


def test_fee_is_that_of_the_first_coin(write: Write, tmp_path: Path) -> None:
    folder = folder_with(
        tmp_path, write, {"BTC": RULES | {"maker_fee": -0.00005}, "ETH": RULES | {"maker_fee": 0.0004}}
    )
    assert folder.market_rules(["ETH", "BTC"])[1:] == (
        -0.00005,
        (f"{tmp_path}/markets.json: maker fees differ; the fee of BTC, -5e-05, is used for all coins",),
    )
    assert folder.market_rules(["ETH"])[1:] == (0.0004, ())


def test_defaults_are_said(write: Write, tmp_path: Path) -> None:
    write("BTC")
    rules, fee, notes = CandleFolder.open(tmp_path).market_rules(["BTC"])
    assert rules == {"BTC": DEFAULT_RULES}
    assert fee == DEFAULT_MAKER_FEE
    assert notes == (
        f"{tmp_path} has no markets.json: market rules assumed: quantity step 0.001, price step 1e-08, "
        "smallest quantity 0.001, smallest cost 5.0, contract multiplier 1.0",
        "maker fee assumed: 0.0002",
    )


def test_default_of_one_coin_is_said(write: Write, tmp_path: Path) -> None:
    folder = folder_with(tmp_path, write, {"maker_fee": 0, "BTC": RULES})
    rules, fee, notes = folder.market_rules(["BTC", "ETH"])
    assert rules["ETH"] == DEFAULT_RULES
    assert fee == 0.0
    assert [note.split(":")[0] for note in notes] == [f"{tmp_path}/markets.json does not name ETH"]


def test_contract_multiplier_may_be_left_out(write: Write, tmp_path: Path) -> None:
    rules = {name: value for name, value in RULES.items() if name != "c_mult"}
    assert folder_with(tmp_path, write, {"BTCUSDT": rules}).market_rules(["BTC"])[0]["BTC"].c_mult == 1.0


def test_unknown_key_is_noted(write: Write, tmp_path: Path) -> None:
    folder = folder_with(tmp_path, write, {"maker_fee": 0, "BTC": RULES | {"min_csot": 5}})
    assert folder.market_rules(["BTC"])[2] == (
        f"{tmp_path}/markets.json: BTC.min_csot is not a known key and has no effect",
    )


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("2021-05-01", 1_619_827_200_000),
        ("2021-05-01T02:00:00+02:00", 1_619_827_200_000),
        (1_619_827_200_000, 1_619_827_200_000),
    ],
)
def test_listing_date(write: Write, tmp_path: Path, date: Any, expected: int) -> None:
    folder = folder_with(tmp_path, write, {"BTC": RULES | {"listing_date": date}})
    assert folder.listing_ms("BTC") == expected
    assert folder.listing_ms("ETH") is None


NUMBER = "a number above 0"
FEE = "a number between -0.1 and 0.1 (0.0002 is 0.02 %)"
LISTING = "an ISO date such as 2021-05-01, or UTC milliseconds"


@pytest.mark.parametrize(
    ("markets", "expected"),
    [
        ({"BTC": RULES | {"qty_step": 0}}, f"BTC.qty_step is 0; allowed is {NUMBER}"),
        ({"BTC": RULES | {"price_step": "0.1"}}, f"BTC.price_step is '0.1'; allowed is {NUMBER}"),
        ({"BTC": RULES | {"min_qty": -1}}, f"BTC.min_qty is -1; allowed is {NUMBER}"),
        ({"BTC": RULES | {"min_cost": -1}}, "BTC.min_cost is -1; allowed is a number of at least 0"),
        ({"BTC": RULES | {"c_mult": True}}, f"BTC.c_mult is True; allowed is {NUMBER}"),
        ('{"BTC": {"qty_step": NaN}}', f"BTC.qty_step is nan; allowed is {NUMBER}"),
        ({"BTC": {"qty_step": 1}}, f"BTC.price_step is missing; allowed is {NUMBER}"),
        ({"BTC": 5}, "BTC is 5; allowed is a mapping with qty_step, price_step, min_qty, min_cost, c_mult"),
        ({"maker_fee": "0.02%"}, f"maker_fee is '0.02%'; allowed is {FEE}"),
        ({"maker_fee": 2}, f"maker_fee is 2; allowed is {FEE}"),
        ({"BTC": RULES | {"maker_fee": None}}, f"BTC.maker_fee is None; allowed is {FEE}"),
        ({"BTC": RULES | {"listing_date": "May"}}, f"BTC.listing_date is 'May'; allowed is {LISTING}"),
        ([1], "holds no mapping; needed is coin → market rules"),
    ],
)
def test_wrong_markets(write: Write, tmp_path: Path, markets: Any, expected: str) -> None:
    folder = folder_with(tmp_path, write, markets)
    with pytest.raises(CandleError) as caught:
        folder.market_rules(["BTC"])
    assert str(caught.value) == f"{tmp_path}/markets.json: {expected}"


def test_markets_that_are_no_json(write: Write, tmp_path: Path) -> None:
    with pytest.raises(CandleError, match=r"markets\.json: is not readable JSON \(Expecting"):
        folder_with(tmp_path, write, "{").market_rules(["BTC"])


def test_fingerprint_follows_the_files(write: Write, tmp_path: Path) -> None:
    write("BTC")
    before = CandleFolder.open(tmp_path).fingerprint
    assert CandleFolder.open(tmp_path).fingerprint == before
    write("BTC", range(6))
    assert CandleFolder.open(tmp_path).fingerprint != before
