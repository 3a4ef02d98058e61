"""Names of exchanges: aliases, those that are gone, those of other packages."""

import subprocess
import sys
import textwrap
from pathlib import Path

import ccxt.pro
import pytest

from passivbot.errors import ExchangeError
from passivbot.exchanges import NAMES, adapter, canonical, connect
from passivbot.exchanges.registry import ALIASES, GONE
from passivbot.exchanges.types import CLIENT_ID_DIGITS


@pytest.mark.parametrize("name", NAMES)
def test_each_exchange_is_its_module_and_known_to_ccxt(name: str) -> None:
    found = adapter(name)
    assert found.name == name
    assert hasattr(ccxt.pro, found.ccxt_id)
    assert canonical(f" {name.upper()} ") == name


def test_older_names_lead_to_the_exchange() -> None:
    assert [canonical(name) for name in ("binance", "gateio", "kucoin")] == [
        "binanceusdm",
        "gate",
        "kucoinfutures",
    ]
    assert set(ALIASES.values()) <= set(NAMES)
    assert not set(ALIASES) & set(NAMES)


def test_a_gone_exchange_says_that_it_is_gone() -> None:
    assert "defx" in GONE
    with pytest.raises(ExchangeError, match=r"^my\.json: live\.exchange is 'defx', but defx closed its API"):
        canonical("defx", "my.json", "live.exchange")
    with pytest.raises(ExchangeError, match="removed it in March 2026"):
        connect("defx")


def test_an_unknown_exchange_names_the_nearest() -> None:
    with pytest.raises(ExchangeError, match=r"bitgett.*; the nearest is bitget"):
        canonical("bitgett")


@pytest.mark.parametrize("name", NAMES)
def test_client_ids_go_there_and_back_in_the_exchanges_form(name: str) -> None:
    exchange = connect(name)
    ours = "0123456789abcdef" * 2
    digits = ours[:CLIENT_ID_DIGITS]
    sent = exchange.encode_id(digits)
    assert exchange.decode_id(sent) == digits
    assert len(sent) <= {"okx": 32, "gate": 30, "hyperliquid": 34}.get(name, 36)
    if name == "hyperliquid":
        assert len(sent) == 34, "128 bits"
        assert int(sent, 16) >= 0
    if name == "okx":
        assert sent.isalnum()
    for foreign in ("web_8347", "", None, digits.upper(), digits + "0"):
        assert exchange.decode_id(foreign) == (foreign or "")


def test_another_packages_exchange_is_found_by_its_entry_point(tmp_path: Path) -> None:
    """A package on the path, as an installer leaves it: metadata and a module."""
    (tmp_path / "elsewhere.py").write_text(
        textwrap.dedent(
            """
            from passivbot.exchanges.bybit import Bybit

            class Elsewhere(Bybit):
                name = "elsewhere"

            broken = 5
            """
        )
    )
    folder = tmp_path / "elsewhere-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: elsewhere\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text(
        "[passivbot.exchanges]\n"
        "elsewhere = elsewhere:Elsewhere\nwrong = elsewhere:broken\nabsent = nowhere_at_all:X\n"
    )
    program = """
        from passivbot.errors import ExchangeError
        from passivbot.exchanges import connect, canonical
        print(canonical("elsewhere"), type(connect("elsewhere")).__name__)
        for name in ("wrong", "absent"):
            try:
                connect(name)
            except ExchangeError as error:
                print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": f"{tmp_path}:{Path(__file__).resolve().parents[2]}", "PATH": "/usr/bin:/bin"},
        timeout=120,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert lines[0] == "elsewhere Elsewhere"
    assert lines[1] == "the exchange wrong: elsewhere:broken is no subclass of Exchange"
    assert lines[2].startswith("the exchange absent of nowhere_at_all:X can't be loaded")
