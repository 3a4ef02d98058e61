from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from passivbot.errors import CandleError
from passivbot.market import CandleFolder, build_panel, demo_folder, generate
from passivbot.market.demo import MAKER_FEE, REGIMES, write_demo
from passivbot.market.synthetic import REGIMES as KNOWN

DAY = 1440


def closes(table: pa.Table) -> np.ndarray[Any, np.dtype[np.float64]]:
    return table["close"].to_numpy()


def one(regime: str, days: int = 10, seed: int = 4) -> pa.Table:
    return generate({"A": regime}, seed=seed, minutes=days * DAY)[0]["A"]


def test_embedded_demo_is_what_the_generator_gives(tmp_path: Path) -> None:
    write_demo(tmp_path)
    embedded, again = CandleFolder.open(demo_folder()), CandleFolder.open(tmp_path)
    assert embedded.coins == again.coins == tuple(sorted(REGIMES))
    for coin in embedded.coins:
        assert pq.read_table(embedded.file(coin)).equals(pq.read_table(again.file(coin)))
    assert (demo_folder() / "markets.json").read_text() == (tmp_path / "markets.json").read_text()


def test_embedded_demo_is_small_and_usable() -> None:
    assert sum(file.stat().st_size for file in demo_folder().iterdir()) < 2_000_000
    folder = CandleFolder.open(demo_folder())
    panel = build_panel(folder, folder.coins)
    assert panel.minutes == 14 * DAY
    _, fee, notes = folder.market_rules(folder.coins)
    assert (fee, notes) == (MAKER_FEE, ())


@pytest.mark.parametrize("regime", KNOWN)
def test_candles_of_every_regime_pass_the_checks_and_lie_on_steps(tmp_path: Path, regime: str) -> None:
    regimes = {f"C{place}": regime for place in range(6)} | {"C6": "calm"}
    tables, rules = generate(regimes, seed=2, minutes=5 * DAY)
    for coin, table in tables.items():
        pq.write_table(table, tmp_path / f"{coin}.parquet")
        for name in ("open", "high", "low", "close"):
            steps = table[name].to_numpy() / rules[coin].price_step
            assert np.abs(steps - np.rint(steps)).max() < 1e-6
    panel = build_panel(CandleFolder.open(tmp_path), tuple(regimes))
    assert panel.minutes == 5 * DAY


def test_same_seed_same_candles_and_another_seed_others() -> None:
    assert one("calm").equals(one("calm"))
    assert not one("calm").equals(one("calm", seed=5))


def test_a_coin_does_not_depend_on_those_after_it() -> None:
    alone = generate({"A": "calm"}, seed=1, minutes=DAY)[0]["A"]
    assert generate({"A": "calm", "B": "crash"}, seed=1, minutes=DAY)[0]["A"].equals(alone)


def test_known_bits() -> None:
    """A change of the generator changes demo candles, and with them every recorded demo study."""
    table = one("crash", days=1, seed=7)
    assert closes(table)[[1, 700, 1439]].tolist() == [64020.9, 63119.9, 52351.2]


def test_regimes_do_what_they_say() -> None:
    calm, trend, crash, late, gap = (one(regime) for regime in KNOWN)
    assert 0.85 < closes(calm).min() / 64000.0 < closes(calm).max() / 64000.0 < 1.15
    assert closes(trend)[-1] > 1.25 * closes(trend)[0]
    before, after = closes(crash)[5 * DAY], closes(crash)[7 * DAY : 8 * DAY].min()
    assert after < 0.75 * before
    assert closes(crash)[-1] > 1.1 * after
    assert late.num_rows == 10 * DAY * 3 // 4
    assert late["timestamp"][0].as_py() > calm["timestamp"][0].as_py()
    holes = np.diff(gap["timestamp"].to_numpy()) // 60_000
    assert holes.max() > 120
    assert np.count_nonzero(holes > 1) >= 2


def test_coins_move_together_and_returns_have_fat_tails() -> None:
    tables, _ = generate({"A": "calm", "B": "calm"}, seed=3, minutes=10 * DAY)
    a, b = (np.diff(np.log(closes(table))) for table in tables.values())
    assert 0.3 < np.corrcoef(a, b)[0, 1] < 0.8
    assert ((a / a.std()) ** 4).mean() > 4.0
    assert 0.0003 < a.std() < 0.0015


def test_unknown_regime() -> None:
    with pytest.raises(CandleError) as caught:
        generate({"A": "clam"}, seed=1, minutes=10)
    assert str(caught.value) == ("synthetic candles: A is 'clam'; allowed is calm, trend, crash, late, gap")
