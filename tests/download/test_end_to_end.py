"""From an exchange to a backtest: what was downloaded is what the engine runs on."""

import re
from pathlib import Path

import pytest

from passivbot.cli.main import main
from passivbot.config.resources import configs_dir
from tests.download.harness import ms, truth, typed, venue_of

BEGIN = ms("2025-03-01")


def test_what_was_downloaded_can_be_backtested_without_naming_candles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Candles of two exchanges, rules and fee as they publish them, then `passivbot backtest` as typed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PASSIVBOT_STORE", raising=False)
    rows = {coin: truth("bybit", BEGIN, 8 * 1440, coin_number=i) for i, coin in enumerate(("BTC", "ETH"))}
    words = "data download -e binance,bybit -s BTC,ETH --from 2025-03-01 --to 2025-03-08"
    assert typed(venue_of(["binanceusdm", "bybit"], rows), words, monkeypatch) == 0
    capsys.readouterr()
    options = (
        "--set backtest.exchanges=binance,bybit --set backtest.start_date=2025-03-03 "
        "--set backtest.end_date=2025-03-08 --set live.minimum_coin_age_days=0 "
        "--set live.max_warmup_minutes=1440 --coins BTC,ETH -dp"
    )
    template = str(configs_dir() / "template.json")
    assert main(["backtest", template, *options.split(), "--out", "report"]) == 0
    shown = capsys.readouterr()
    assert "2 coins" in shown.out
    fills = int(re.search(r"2 coins, (\d+) fills", shown.out)[1])  # type: ignore[index]
    assert fills > 0
    assert "note: market rules as of binance 20" in shown.err + shown.out
    assert "assumed" not in shown.err + shown.out
