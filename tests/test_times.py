"""How times are said."""

import pytest

from passivbot.times import DAY_MS, day, duration, utc


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.4, "0 s"),
        (5, "5 s"),
        (65, "1 min 05 s"),
        (600, "10 min 00 s"),
        (7265, "2 h 01 min"),
        (None, "unknown time"),
    ],
)
def test_seconds(seconds: float | None, said: str) -> None:
    assert duration(seconds) == said


def test_moments() -> None:
    assert utc(1_714_521_660_000) == "2024-05-01 00:01"
    assert day(1_714_521_660_000 + DAY_MS) == "2024-05-02"
    assert utc(10**18) == "timestamp 1000000000000000000"
