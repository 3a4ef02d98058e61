"""A tenth of the soak and of the kills; ``scripts/soak live`` and ``scripts/soak kills`` run them whole."""

import asyncio
from pathlib import Path

import pytest

from tests.live.kills import kill_often
from tests.live.rig import walk_source
from tests.live.soak import GROWTH_MB, soak

MINUTES = {"bybit": 1500, "binanceusdm": 500}
KILLS = 20


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", MINUTES)
def test_a_tenth_of_the_soak(name: str, tmp_path: Path) -> None:
    share = MINUTES[name]
    source = walk_source(minutes=share + 700, seed=5)
    figures = asyncio.run(soak(name, tmp_path, source, share, seed=11, sample_minutes=share // 20))
    assert figures.minutes >= share
    assert figures.checks >= share // 50
    assert figures.fills > share // 5
    assert sum(figures.faults.values()) > share // 10
    # A cycle asks for some lists, and for candles of two coins; every other request is an order.
    assert figures.requests_per_minute < 60
    assert figures.most_requests < 300
    # Within the tenth the bot's history and candles still grow to what they are kept to.
    assert figures.growth_mb <= 2 * GROWTH_MB, figures.memory_mb


@pytest.mark.timeout(900)
def test_a_tenth_of_the_kills(tmp_path: Path) -> None:
    figures = kill_often("bybit", tmp_path, walk_source(minutes=3000, seed=9), KILLS, seed=3, longest=2.0)
    assert figures.kills == KILLS
    assert figures.checks == KILLS // 5 + 1
    assert figures.adopted > 0
    assert figures.orders > 50
