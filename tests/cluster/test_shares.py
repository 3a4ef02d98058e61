"""How studies divide a cluster."""

import pytest

from cluster.shares import Claim, fair_shares


def claims(*rows: tuple[str, float, int]) -> list[Claim]:
    return [Claim(name, weight, demand, float(place)) for place, (name, weight, demand) in enumerate(rows)]


@pytest.mark.parametrize(
    ("rows", "processors", "expected"),
    [
        ([("a", 1.0, 0)], 8, [8]),
        ([("a", 1.0, 0), ("b", 1.0, 0)], 8, [4, 4]),
        ([("a", 3.0, 0), ("b", 1.0, 0)], 8, [6, 2]),
        ([("a", 3.0, 0), ("b", 1.0, 0)], 4, [3, 1]),
        ([("a", 1.0, 0), ("b", 1.0, 0)], 7, [4, 3]),
        # what one can't feed goes to the others, by their weight
        ([("a", 1.0, 2), ("b", 1.0, 0), ("c", 2.0, 0)], 11, [2, 3, 6]),
        ([("a", 1.0, 2), ("b", 1.0, 3)], 11, [2, 3]),
        # everybody gets one before anybody gets two
        ([("a", 1000.0, 0), ("b", 0.001, 0)], 3, [2, 1]),
        # fewer processors than studies: the oldest first
        ([("a", 1.0, 0), ("b", 5.0, 0), ("c", 1.0, 0)], 2, [1, 1, 0]),
        ([], 4, []),
        ([("a", 1.0, 0)], 0, [0]),
    ],
)
def test_shares(rows: list[tuple[str, float, int]], processors: int, expected: list[int]) -> None:
    found = fair_shares(claims(*rows), processors)
    assert [found[name] for name, *_ in rows] == expected


def test_the_order_in_which_studies_are_read_changes_nothing() -> None:
    rows = claims(("a", 2.0, 0), ("b", 1.5, 9), ("c", 1.0, 0), ("d", 7.0, 3))
    for processors in range(40):
        assert fair_shares(rows, processors) == fair_shares(reversed(rows), processors)
        assert sum(fair_shares(rows, processors).values()) == processors
