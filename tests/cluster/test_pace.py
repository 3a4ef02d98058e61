"""Sizes and deadlines of batches."""

import numpy as np

from cluster.pace import TARGET_SECONDS, Pace, Rate
from cluster.pool import QUEUED, Batch


def batch(size: int) -> Batch:
    return Batch(tuple(range(size)), np.zeros((size, 2)))


def paced(seconds_each: float, workers: int = 2, limit: int | None = None) -> Pace:
    pace = Pace(workers, limit)
    pace.note(seconds_each * 10, 10)
    return pace


def test_first_batch_measures_one_candidate() -> None:
    assert Pace(2).batch_size(1000, 1000) == 1


def test_batch_takes_the_target_time_where_the_lag_allows() -> None:
    assert paced(0.01).batch_size(10_000, 10_000) == round(TARGET_SECONDS / 0.01)
    assert paced(10.0).batch_size(10_000, 10_000) == 1


def test_two_batches_a_worker_fit_into_the_lag() -> None:
    for lag in (1, 8, 33, 200):
        for workers in (1, 2, 7, 100):
            size = paced(1e-4, workers).batch_size(lag, 10**6)
            assert size >= 1
            assert size == 1 or size * workers * QUEUED <= lag


def test_last_candidates_are_spread_over_the_workers() -> None:
    assert paced(0.001, workers=4).batch_size(10_000, 10) == 3


def test_last_batches_get_ever_smaller_but_fill_the_engine() -> None:
    pace, left = paced(0.005), 400
    sizes: dict[int, int] = {}
    while left:
        sizes[left] = pace.batch_size(400, left)
        left -= sizes[left]
    assert list(sizes.values()) == sorted(sizes.values(), reverse=True)
    assert sizes[400] == 100
    assert min(size for left, size in sizes.items() if left >= 16) == 8
    assert paced(0.001, workers=1000).batch_size(10**7, 10**5) == 100, "a thousand calls a second are enough"


def test_a_reply_lies_only_while_its_worker_has_enough_to_do() -> None:
    pace = paced(0.004)
    assert 0.5 < pace.patience(25) / 0.1 < 0.8
    assert pace.patience(5) == 0.0, "answering takes as long"
    assert pace.patience(10**6) == 0.1
    assert Pace(2).patience(25) == 0.0, "nothing was measured"


def test_limit_is_a_limit() -> None:
    assert paced(0.001, limit=7).batch_size(10_000, 10_000) == 7
    assert paced(10.0, limit=7).batch_size(10_000, 10_000) == 1


def test_deadline_grows_with_the_batch_and_is_never_short() -> None:
    pace = paced(2.0)
    assert pace.allowed_seconds(batch(1)) == 60.0
    assert pace.allowed_seconds(batch(50)) == 20 * 2.0 * 50
    assert Pace(2).allowed_seconds(batch(2)) == 1200.0


def test_feeding_lag_is_larger_than_the_present_one() -> None:
    assert paced(0.01, workers=8).feeding_lag(8) == 8 * QUEUED * 10
    assert paced(5.0, workers=2).feeding_lag(50) == 100


def test_halves_hold_the_same_candidates() -> None:
    whole = Batch((3, 4, 9), np.arange(6.0).reshape(3, 2))
    first, second = whole.halves()
    assert first.numbers + second.numbers == whole.numbers
    assert np.array_equal(np.vstack([first.parameters, second.parameters]), whole.parameters)
    assert batch(1).halves()[0].numbers == (0,)


def test_rate_counts_from_the_first_result() -> None:
    rate = Rate()
    assert [rate.note(now, 0) for now in (0.0, 10.0, 20.0)] == [0.0, 0.0, 0.0]
    assert rate.note(20.5, 50) == 100.0
    assert rate.note(21.0, 100) == 100.0


def test_rate_is_of_the_last_half_minute() -> None:
    rate = Rate()
    for second in range(60):
        told = rate.note(float(second), second * 10 if second < 20 else 200 + (second - 20) * 40)
    assert told == 40.0
