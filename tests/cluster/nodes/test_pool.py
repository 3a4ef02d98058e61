"""The pool by itself: how many workers there are, and who is blamed when one dies."""

import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from cluster.batch import Batch, Done, Lost
from cluster.pool import Pool
from tests.cluster.toy import WIDTH, Toy

pytestmark = pytest.mark.usefixtures("ray_cluster")

HEALTHY = np.full((1, 4), 0.25)
ILL = np.full((1, 4), 0.75)


def batch(number: int, parameters: np.ndarray = HEALTHY, **changes: bool) -> Batch:
    return Batch((number,), parameters, **changes)


@pytest.fixture
def pools() -> Iterator[Callable[..., Pool]]:
    made: list[Pool] = []

    def make(toy: Toy, size: int | None, **changes: object) -> Pool:
        made.append(Pool(toy, WIDTH, size, lambda batch: 300.0, **changes))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for pool in made:
        pool.close()


def until(pool: Pool, condition: Callable[[], bool], seconds: float = 120.0) -> list[Done | Lost]:
    """Return everything that happens until a condition holds."""
    events: list[Done | Lost] = []
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "not in time"
        events += pool.wait(0.05)
    return events


def test_workers_come_and_go_with_the_size(pools: Callable[..., Pool]) -> None:
    pool = pools(Toy(seconds=0.1), None)
    until(pool, lambda: pool.ready == 3)
    for number in range(6):
        pool.hand_in(batch(number))
    assert not pool.wants()
    pool.resize(1)
    # Those that end first do what they were given.
    events = until(pool, lambda: pool.in_flight == 0)
    assert sorted(event.batch.numbers[0] for event in events if isinstance(event, Done)) == list(range(6))
    assert not [event for event in events if isinstance(event, Lost)]
    assert until(pool, lambda: len(pool) == 1 == pool.ready) == []
    pool.resize(2)
    assert until(pool, lambda: pool.ready == 2) == []
    pool.resize(None)
    assert until(pool, lambda: pool.ready == 3) == []


def test_batch_that_must_be_alone_waits_and_keeps_others_away(pools: Callable[..., Pool]) -> None:
    pool = pools(Toy(seconds=0.3), 1)
    until(pool, pool.wants)
    pool.hand_in(batch(0))
    pool.hand_in(batch(1, alone=True))
    assert not pool.wants()
    assert pool.in_flight == 2
    (first,) = until(pool, lambda: pool.in_flight == 1)
    assert isinstance(first, Done)
    assert first.batch.numbers == (0,)
    assert not pool.wants()
    (second,) = until(pool, lambda: pool.in_flight == 0)
    assert isinstance(second, Done)
    assert second.batch.numbers == (1,)
    assert pool.wants()


def test_halves_and_parts_of_a_lonely_batch_are_lonely() -> None:
    whole = Batch((1, 2, 3), np.arange(12.0).reshape(3, 4), alone=True)
    left, right = whole.halves()
    assert (left.numbers, right.numbers) == ((1,), (2, 3))
    assert left.alone
    assert right.alone
    assert np.array_equal(whole.only([2]).parameters, [[8.0, 9.0, 10.0, 11.0]])


def test_neighbour_of_a_killer_is_never_blamed(pools: Callable[..., Pool]) -> None:
    """Whether the reply of the first one still arrives or not; the killer is found in the end."""
    pool = pools(Toy(ill=0.5, illness="kill"), 1)
    for _ in range(6):
        until(pool, pool.wants)
        pool.hand_in(batch(0))
        pool.hand_in(batch(1, ILL))
        events = until(pool, lambda: pool.in_flight == 0)
        done = [event.batch.numbers for event in events if isinstance(event, Done)]
        (lost,) = [event for event in events if isinstance(event, Lost)]
        assert not lost.node_lost
        if done:
            assert done == [(0,)]
            assert lost.batch is not None
            assert lost.batch.numbers == (1,)
            assert lost.unstarted == ()
        else:
            assert lost.batch is None
            assert [(one.numbers, one.alone) for one in lost.unstarted] == [((0,), True), ((1,), True)]
    until(pool, pool.wants)
    pool.hand_in(batch(1, ILL, alone=True))
    (lost,) = until(pool, lambda: pool.in_flight == 0)
    assert isinstance(lost, Lost)
    assert lost.batch is not None
    assert lost.cause == "its worker process died"


def test_machine_that_is_not_let_in_gets_no_worker(pools: Callable[..., Pool]) -> None:
    open_door: list[bool] = []
    pool = pools(Toy(), None, admit=lambda machines: machines if open_door else [])
    until_later = time.monotonic() + 3.0
    until(pool, lambda: time.monotonic() > until_later)
    assert len(pool) == 0
    open_door.append(True)
    until(pool, lambda: pool.ready == 3)
