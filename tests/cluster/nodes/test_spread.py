"""How workers are spread over machines, and for how many there is work."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.board import Notice
from cluster.nodes import spread, useful_workers

ROOMS = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 9))


@given(room=ROOMS, have=ROOMS, most=st.none() | st.integers(0, 40))
def test_spread_fills_what_it_may_and_moves_nobody_without_need(
    room: dict[str, int], have: dict[str, int], most: int | None
) -> None:
    wanted = spread(room, have, most)
    assert wanted.keys() == room.keys()
    assert all(0 <= wanted[node] <= room[node] for node in room)
    capacity = sum(room.values())
    assert sum(wanted.values()) == (capacity if most is None else min(most, capacity))
    # Nobody is ended on one machine to be started on another.
    kept = {node: min(have.get(node, 0), room[node]) for node in room}
    ended = any(wanted[node] < kept[node] for node in room)
    started = any(wanted[node] > kept[node] for node in room)
    assert not (ended and started)


@pytest.mark.parametrize(
    ("most", "expected"),
    [(None, {"a": 2, "b": 8}), (4, {"a": 0, "b": 4}), (9, {"a": 2, "b": 7}), (1, {"a": 0, "b": 1})],
)
def test_new_workers_go_where_most_room_is_left(most: int | None, expected: dict[str, int]) -> None:
    assert spread({"a": 2, "b": 8}, {}, most) == expected


def notice(**progress: Any) -> Notice:
    return Notice(
        id="s",
        name="s",
        folder="s",
        host="h",
        pid=1,
        state="running",
        demand=100,
        workers=10,
        progress=progress,
    )


@pytest.mark.parametrize(
    ("left", "rate", "expected"),
    [
        (10**6, 10.0, 100),  # more than it can feed
        (600, 10.0, 10),  # a minute for the ten that it has
        (300, 10.0, 5),  # half of them would be enough
        (0, 10.0, 0),
        (600, 0.0, 100),  # nothing measured yet
    ],
)
def test_fewer_machines_are_asked_for_as_the_end_comes(left: int, rate: float, expected: int) -> None:
    assert useful_workers(notice(left=left, rate=rate)) == expected
