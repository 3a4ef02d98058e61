"""What a person sees of a download."""

import io

import pytest
from rich.console import Console

from passivbot.market.download import progress
from passivbot.market.download.progress import Display


def shown(*, terminal: bool) -> tuple[Display, io.StringIO]:
    out = io.StringIO()
    return Display(Console(file=out, force_terminal=terminal, width=120, highlight=False)), out


def test_a_note_is_printed_once() -> None:
    display, out = shown(terminal=False)
    with display:
        for _ in range(3):
            display.note("binance", "BTC", "candles begin at 2019-09-08")
        display.note("binance", "", "waits 7.0 s: [too] many")
    assert out.getvalue() == "binance BTC: candles begin at 2019-09-08\nbinance: waits 7.0 s: [too] many\n"


def test_a_terminal_gets_a_bar_an_exchange_with_share_coins_and_time_left() -> None:
    display, out = shown(terminal=True)
    with display:
        display.planned("binance", "BTC", 1000)
        display.planned("binance", "ETH", 1000)
        display.planned("bybit", "BTC", 500)
        display.done("binance", "BTC", 500)
        display.done("bybit", "BTC", 500)
        display.finished("bybit", "BTC")
        display._progress.refresh()
    text = out.getvalue()
    assert " 25 %" in text
    assert "0/2 coins" in text
    assert "100 %" in text
    assert "1/1 coins" in text


def test_elsewhere_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_LINE_EVERY_S", 0.0)
    display, out = shown(terminal=False)
    with display:
        display.planned("binance", "BTC", 1000)
        display.done("binance", "BTC", 250)
    last = out.getvalue().splitlines()[-1]
    assert last.startswith("binance: 25% of 1000 minutes, 0 of 1 coins, about ")
    assert last.endswith(" left")
