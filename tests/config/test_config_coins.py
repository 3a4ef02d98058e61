"""Coin names, coin lists and the coins of a run (config-format §5)."""

from pathlib import Path
from typing import Any

import pytest

from passivbot.config import Config, load_config
from passivbot.config.coins import coin_of, select_coins, side_notes
from passivbot.config.load import load_mapping
from passivbot.errors import ConfigError

from .conftest import Write


@pytest.mark.parametrize(
    ("symbol", "coin"),
    [
        ("BTC", "BTC"),
        (" BTC ", "BTC"),
        ("BTC/USDT:USDT", "BTC"),
        ("BTCUSDT", "BTC"),
        ("ETHUSDC", "ETH"),
        ("ETHBUSD", "ETH"),
        ("ETH/USD:ETH", "ETH"),
        ("1000SHIBUSDT", "SHIB"),
        ("1000000MOG/USDT:USDT", "MOG"),
        ("kPEPE", "PEPE"),
        ("kas", "kas"),
        ("SHIB1000", "SHIB"),
        ("100X", "100X"),
        ("USDC", "USDC"),
        ("USDCUSDT", "USDCUSDT"),
    ],
)
def test_coin_names(symbol: str, coin: str) -> None:
    assert coin_of(symbol) == coin


def lists(value: Any, file: Path = Path("c.json")) -> dict[str, tuple[str, ...]]:
    return load_mapping({"bot": {}, "live": {"approved_coins": value}}, file).config.live.approved_coins


BOTH = {"long": ("BTC", "ETH"), "short": ("BTC", "ETH")}


@pytest.mark.parametrize(
    "value",
    [
        ["ETH", "BTC"],
        ["ETHUSDT,BTC"],
        "BTC,ETH",
        " ETH , BTC ,",
        {"long": "BTC,ETH", "short": ["ETH/USDT:USDT", "BTC", "BTC"]},
        {"long": ["BTC,ETH"], "short": "coins.txt"},
        "coins.txt",
        ["coins.json"],
        "sides.hjson",
        "quoted.txt",
        "commented.txt",
    ],
)
def test_forms_of_coin_lists(value: Any, tmp_path: Path) -> None:
    (tmp_path / "coins.txt").write_text("BTC ETH\n")
    (tmp_path / "quoted.txt").write_text("['BTC',\n \"ETHUSDT\"]")
    (tmp_path / "commented.txt").write_text("# my coins\nBTC; // XRP\n#SOL\nETH\n")
    (tmp_path / "coins.json").write_text('["BTC", "ETH"]')
    (tmp_path / "sides.hjson").write_text('{long: ["BTC", "ETH"]\n short: ["ETHUSDT", "BTC"] // both\n}')
    assert lists(value, tmp_path / "c.json") == BOTH


@pytest.mark.parametrize("value", [[], "", [""], None, {"long": [], "short": ""}, {"long": []}])
def test_empty_forms(value: Any) -> None:
    assert lists(value) == {"long": (), "short": ()}


def test_files_are_found_in_the_working_folder_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder, coin in ((here, "ADA"), (there, "XRP")):
        folder.mkdir()
        (folder / "coins.txt").write_text(coin)
    (there / "only.txt").write_text("SOL")
    monkeypatch.chdir(here)
    assert lists("coins.txt", there / "c.json")["long"] == ("ADA",)
    assert lists("only.txt", there / "c.json")["long"] == ("SOL",)
    assert len(lists("configs/approved_coins_top23mcap.json")["long"]) == 23
    assert len(lists("approved_coins_top23mcap.json")["long"]) == 23


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"long": ["BTC"]}', ": a file of coins with sides needs both long and short"),
        ('{"long": 3, "short": []}', ": holds no list of coins"),
        ("[1, 2]", ": holds no list of coins"),
    ],
)
def test_wrong_files_of_coins(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "coins.json"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        lists(str(file))
    assert str(caught.value) == f"{file}{message}"


def test_ignored_coins_leave_the_side_they_are_ignored_on(write: Write) -> None:
    path = write(live={"approved_coins": "BTC,ETH", "ignored_coins": {"long": "BTCUSDT", "short": []}})
    config = load_config(path).config
    assert config.live.approved_coins == {"long": ("ETH",), "short": ("BTC", "ETH")}
    # Also those of the command line.
    config = load_config(path, options={"live.approved_coins": "BTC,XRP"}).config
    assert config.live.approved_coins == {"long": ("XRP",), "short": ("BTC", "XRP")}


def config(approved: Any, ignored: Any = (), *, everything: bool = False) -> Config:
    live = {
        "approved_coins": approved,
        "ignored_coins": list(ignored),
        "empty_means_all_approved": everything,
    }
    return load_mapping({"bot": {}, "live": live}, Path("c.json")).config


AVAILABLE = ("XRP", "BTC", "ETH")


@pytest.mark.parametrize(
    ("given", "chosen", "coins"),
    [
        (config("ETH,BTC"), None, ("BTC", "ETH")),
        (config({"long": "ETH", "short": "XRP"}), None, ("ETH", "XRP")),
        (config([], everything=True), None, ("BTC", "ETH", "XRP")),
        (config([], ["BTC"], everything=True), None, ("ETH", "XRP")),
        (config({"long": "ETH", "short": []}), None, ("ETH",)),
        (config({"long": "ETH", "short": []}, everything=True), None, ("BTC", "ETH", "XRP")),
        (config("ETH,BTC"), ["XRPUSDT"], ("XRP",)),
        (config("ETH,BTC"), ["all"], ("BTC", "ETH", "XRP")),
        (config("ETH", ["BTC"]), ["all"], ("ETH", "XRP")),
        (config("DOGE"), ["BTC"], ("BTC",)),
    ],
)
def test_coins_of_a_run(given: Config, chosen: list[str] | None, coins: tuple[str, ...]) -> None:
    assert select_coins(given, AVAILABLE, chosen) == coins


@pytest.mark.parametrize(
    ("given", "chosen", "message"),
    [
        (
            config("ETH,DOGE"),
            None,
            "c.json: live.approved_coins is 'DOGE'; allowed is a coin with candles: BTC, ETH, XRP",
        ),
        (
            config("ETH"),
            ["DOGE"],
            "the command line: --coins is 'DOGE'; allowed is a coin with candles: BTC, ETH, XRP",
        ),
        (
            config([]),
            None,
            "c.json: live.approved_coins leaves no coin to trade; name coins with --coins, or approve some",
        ),
        (
            config([], AVAILABLE, everything=True),
            None,
            "c.json: live.approved_coins leaves no coin to trade; name coins with --coins, or approve some",
        ),
    ],
)
def test_unknown_coins_and_none_at_all(given: Config, chosen: list[str] | None, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        select_coins(given, AVAILABLE, chosen, "c.json")
    assert str(caught.value) == message


def test_what_a_backtest_trades_and_the_bot_does_not_is_said() -> None:
    def notes(sides: tuple[str, ...] = ("long", "short"), **live: Any) -> list[str]:
        config = load_mapping({"bot": {}, "live": live}, Path("c.json")).config
        return [note.partition(" as well")[0] for note in side_notes(config, ("BTC", "ETH"), sides)]

    lists = {"long": ["BTC", "ETH"], "short": ["ETH"]}
    assert notes(approved_coins=lists) == ["the short side trades BTC"]
    assert notes(("long",), approved_coins=lists) == []
    assert notes(approved_coins=["BTC", "ETH"]) == []
    assert notes(approved_coins={"long": ["BTC"], "short": []}) == [
        "the long side trades ETH",
        "the short side trades BTC, ETH",
    ]
    everything = {"approved_coins": [], "empty_means_all_approved": True}
    assert notes(**everything) == []
    assert notes(**everything, ignored_coins={"long": ["BTC"], "short": []}) == ["the long side trades BTC"]
