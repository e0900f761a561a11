"""How much of the stream a failover makes the worker run again: what was written in the last span, by the clock."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gmhealth.core.entry import EntryId
from gmhealth.core.tail import Recent, Tail

SPAN = 60_000


def at(ms: int) -> EntryId:
    return EntryId(ms, 0)


def begun() -> Recent:
    recent = Recent(SPAN)
    recent.begin(Tail("one", at(5)), at(9), 0)
    return recent


def test_what_was_handed_down_is_kept_for_a_span() -> None:
    recent = begun()
    recent.pass_time(at(20), SPAN - 1)
    assert recent.tail == Tail("one", at(5))
    recent.pass_time(at(20), SPAN)
    assert recent.tail == Tail("one", at(9))


def test_who_was_idle_for_long_has_nothing_to_run_again() -> None:
    recent = begun()
    for turn in range(1, 3):
        recent.pass_time(at(9), turn * SPAN)
    assert recent.tail == Tail("one", at(9))


def test_nothing_ages_before_it_began() -> None:
    recent = Recent(SPAN)
    recent.pass_time(at(9), 10 * SPAN)
    assert recent.tail is None


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 100)), min_size=1, max_size=50))
def test_it_holds_all_that_was_written_in_the_last_span_and_nothing_from_before_two(
    batches: list[tuple[int, int]],
) -> None:
    turn_ms = SPAN // 10
    recent, now, offset = Recent(SPAN), 0, 0
    recent.begin(Tail("one", at(0)), at(0), 0)
    written = []
    for idle_turns, entries in batches:
        for _ in range(idle_turns + 1):
            now += turn_ms
            recent.pass_time(at(offset), now)
        written.append((now, offset, offset + entries))
        offset += entries
    assert recent.tail is not None
    since = recent.tail.since.ms
    assert all(since <= start for when, start, _ in written if when > now - SPAN)
    assert all(since >= end for when, _, end in written if when <= now - 2 * SPAN - turn_ms)


def test_what_was_told_is_kept_as_long_and_given_back_once() -> None:
    recent = begun()
    recent.age(0)
    recent.tell({"game-a": 1, "game-b": 1})
    recent.age(SPAN - 1)
    recent.age(SPAN)
    recent.tell({"game-b": 2})
    assert recent.untold() == {"game-a": 1, "game-b": 2}
    assert recent.untold() == {}
    recent.tell({"game-c": 3})
    for turn in range(2, 4):
        recent.age(turn * SPAN)
    assert recent.untold() == {}


def test_what_was_told_ages_also_while_others_write_all_the_time() -> None:
    """Each commit of theirs begins a tail of its own."""
    recent = begun()
    recent.tell({"game-a": 1})
    for turn in range(1, 4):
        recent.begin(Tail("one", at(turn)), at(turn), turn * SPAN)
        recent.age(turn * SPAN)
    assert recent.untold() == {}
