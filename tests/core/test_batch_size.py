"""How much is asked for at once: within a bound in entries, and about within one in bytes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gmhealth.core.batch_size import FIRST, GROWTH, Ceiling, next_limit
from gmhealth.core.entry import Entry

sizes = st.lists(st.integers(0, 10_000), max_size=200)
bounds = st.integers(1, 10_000)


def entry(size: int) -> Entry:
    """An entry of `size` bytes."""
    return (b"1-1", [b"x" * (size // 2), b"x" * (size - size // 2)])


@given(sizes, bounds, bounds)
def test_it_is_at_least_one_and_at_most_the_bound(sizes: list[int], most_entries: int, most_bytes: int) -> None:
    limit = next_limit([entry(size) for size in sizes], most_entries=most_entries, most_bytes=most_bytes)
    assert 1 <= limit <= most_entries


@given(st.integers(1, 200), st.integers(1, 1000), st.integers(1000, 100_000))
def test_entries_of_one_size_fill_the_bytes_and_no_more(count: int, size: int, most_bytes: int) -> None:
    limit = next_limit([entry(size)] * count, most_entries=10**9, most_bytes=most_bytes)
    assert limit * size <= most_bytes
    assert most_bytes < (limit + 1) * size or limit == max(FIRST, GROWTH * count)


def test_a_few_small_ones_do_not_make_it_ask_for_very_many() -> None:
    """What follows may be large: they would all be in memory before the small ones are committed."""
    small, limits = [entry(10)], []
    for _ in range(5):
        limits.append(next_limit(small, most_entries=10_000, most_bytes=2**25))
        small = small[:1] * limits[-1]
    assert limits == [100, 400, 1_600, 6_400, 10_000]


def test_of_entries_larger_than_the_bound_one_is_asked_for() -> None:
    assert next_limit([entry(1001)], most_entries=100, most_bytes=1000) == 1


def test_while_nothing_is_known_few_are_asked_for() -> None:
    assert next_limit([], most_entries=5000, most_bytes=1) == FIRST
    assert next_limit([], most_entries=7, most_bytes=1) == 7


def test_a_ceiling_is_half_of_what_failed_and_doubles_after_ten_that_went_well() -> None:
    ceiling = Ceiling(1000)
    assert [ceiling.lower(failed) for failed in (1, 1000)] == [False, True]
    found = []
    for _ in range(25):
        ceiling.went_well()
        found.append(ceiling.entries)
    assert found == [500] * 9 + [1000] * 16
    assert ceiling.lower(3)
    assert ceiling.entries == 1
