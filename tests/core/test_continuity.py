"""What `examine` says about a stream that lost entries, was recreated, or is gone (I9)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gmhealth.core.continuity import (
    Break,
    EntriesLost,
    Place,
    StreamBehind,
    StreamGone,
    StreamReplaced,
    StreamState,
    examine,
)
from gmhealth.core.entry import START, Entry, EntryId


def ids(first: int, last: int) -> list[EntryId]:
    return [EntryId(ms, 0) for ms in range(first, last + 1)]


def hand(first: int, last: int) -> list[Entry]:
    return [(str(entry_id).encode(), ()) for entry_id in ids(first, last)]


def stream(first: int, last: int, *, added: int | None) -> StreamState:
    """A stream that has the entries `first` to `last`, of `added` in all."""
    left = ids(first, last)
    return StreamState(
        exists=True,
        length=len(left),
        entries_added=added,
        first=left[0] if left else None,
        last=left[-1] if left else None,
        last_generated=EntryId(last, 0),
    )


def at(ms: int, count: int | None = None, *, read: bool = False, gone: bool = False) -> Place:
    return Place(EntryId(ms, 0), count, read, gone)


def end(ms: int, count: int | None = None) -> Place:
    return Place(EntryId(ms, 0), count, at_end=True)


def lost(offset: int, first_left: int | None, number: int | None, *, exact: bool) -> EntriesLost:
    return EntriesLost(EntryId(offset, 0), None if first_left is None else EntryId(first_left, 0), number, exact)


def replaced(offset: int, first_left: int | None, number: int) -> StreamReplaced:
    return StreamReplaced(EntryId(offset, 0), None if first_left is None else EntryId(first_left, 0), number)


WHOLE = stream(1, 10, added=10)
NONE_LEFT = stream(11, 10, added=10)


@pytest.mark.parametrize(
    ("place", "state", "read", "expected"),
    [
        pytest.param(Place(), StreamState(), (), (Place(), None), id="nothing was ever there"),
        pytest.param(at(5, 5), StreamState(), (), (at(5, gone=True), StreamGone(EntryId(5, 0))), id="gone"),
        pytest.param(
            at(20, 9), WHOLE, (), (Place(), StreamBehind(EntryId(20, 0), EntryId(10, 0))), id="recreated, and behind"
        ),
        pytest.param(at(10), WHOLE, (), (end(10, 10), None), id="at the end: from here on it is counted"),
        pytest.param(at(10, 10), WHOLE, (), (end(10, 10), None), id="at the end, all counted"),
        pytest.param(
            at(10, 8), WHOLE, (), (end(10, 10), lost(10, None, 2, exact=True)), id="at the end, two were never read"
        ),
        pytest.param(
            at(10, 10),
            replace(WHOLE, entries_added=12, last_generated=EntryId(12, 0)),
            (),
            (end(12, 12), lost(10, None, 2, exact=True)),
            id="the last two were deleted, older ones survive",
        ),
        pytest.param(
            at(7, 7),
            NONE_LEFT,
            (),
            (end(10, 10), lost(7, None, 3, exact=True)),
            id="the rest was trimmed away, counted",
        ),
        pytest.param(
            at(7), NONE_LEFT, (), (end(10, 10), lost(7, None, 10, exact=False)), id="trimmed away, not yet counted"
        ),
        pytest.param(Place(), NONE_LEFT, (), (end(10, 10), None), id="trimmed away before we ever looked"),
        pytest.param(
            at(7), stream(11, 10, added=None), (), (end(10), lost(7, None, None, exact=False)), id="trimmed, Redis 6"
        ),
        pytest.param(
            Place(), stream(4, 10, added=10), hand(4, 10), (Place(START, 3), None), id="from the start of what is left"
        ),
        pytest.param(
            at(3, 3),
            stream(2, 10, added=10),
            hand(5, 10),
            (at(3, 3), None),
            id="an older one survives: nothing trimmed",
        ),
        pytest.param(
            at(3, 3), stream(4, 10, added=10), hand(4, 10), (at(3, 3), None), id="trimmed up to where we were, counted"
        ),
        pytest.param(
            at(3, 3),
            stream(6, 10, added=10),
            hand(6, 10),
            (at(3, 5), lost(3, 6, 2, exact=True)),
            id="two were trimmed unread, counted",
        ),
        pytest.param(
            at(3),
            stream(6, 10, added=10),
            hand(6, 10),
            (at(3, 5), lost(3, 6, 5, exact=False)),
            id="trimmed past us, not yet counted: five at most",
        ),
        pytest.param(
            at(3),
            stream(6, 10, added=None),
            hand(6, 10),
            (at(3), lost(3, 6, None, exact=False)),
            id="trimmed past us, Redis 6",
        ),
        pytest.param(
            at(3, 3),
            stream(8, 10, added=10),
            hand(6, 10),
            (at(3, 5), lost(3, 6, 2, exact=True)),
            id="trimmed on since the read: what was read is not lost",
        ),
        pytest.param(
            at(3, 5), stream(8, 10, added=10), hand(6, 10), (at(3, 5), None), id="trimmed on since the read, none lost"
        ),
        pytest.param(
            at(3, 3),
            stream(9, 10, added=10),
            hand(6, 7),
            (at(3, 6), lost(3, 6, 3, exact=False)),
            id="trimmed past what was read: counted now, and not again",
        ),
        pytest.param(
            at(3, 3),
            stream(6, 10, added=10),
            (),
            (at(3, 5), lost(3, 6, 2, exact=True)),
            id="added and trimmed since a read that found nothing",
        ),
        pytest.param(
            at(5, 5),
            stream(20, 22, added=3),
            hand(20, 22),
            (Place(START, 0), replaced(5, 20, 0)),
            id="recreated, IDs going on: all is there",
        ),
        pytest.param(
            at(5, 2),
            stream(20, 29, added=10),
            hand(20, 29),
            (Place(START, 0), replaced(5, 20, 0)),
            id="recreated with more entries than there were: none was ever removed from it",
        ),
        pytest.param(
            at(5, read=True),
            stream(20, 22, added=3),
            hand(20, 22),
            (Place(START, 0), replaced(5, 20, 0)),
            id="recreated while nobody looked",
        ),
        pytest.param(
            at(5),
            stream(20, 22, added=3),
            hand(20, 22),
            (at(5, 0), None),
            id="an offset set by hand need not be an entry's",
        ),
        pytest.param(
            at(9, 90),
            stream(22, 24, added=5),
            hand(22, 24),
            (Place(START, 2), replaced(9, 22, 2)),
            id="recreated, IDs going on, and trimmed",
        ),
        pytest.param(
            at(9, 90), stream(25, 24, added=5), (), (Place(START, 5), replaced(9, None, 5)), id="recreated and emptied"
        ),
        pytest.param(
            at(5, gone=True),
            stream(20, 22, added=5),
            hand(20, 22),
            (Place(START, 0), None),
            id="the successor of a stream whose end was told is read from its start",
        ),
    ],
)
def test_each_verdict(
    place: Place, state: StreamState, read: list[Entry], expected: tuple[Place, Break | None]
) -> None:
    there = state.first is not None and state.last is not None and state.first <= place.offset <= state.last
    assert examine(place, state, read, there=there) == expected


REUSED = replace(stream(3, 60, added=4), length=4)
"""A new stream whose clock was behind at first: 3-0, …, 60-0, none of which is 50-0."""


def test_a_new_stream_that_has_passed_the_offset_is_read_from_its_start() -> None:
    at_50 = at(50, read=True)
    assert examine(at_50, REUSED, hand(60, 60), there=False) == (Place(START, 0), replaced(50, 3, 0))
    assert examine(at_50, REUSED, hand(60, 60), there=True) == (at_50, None)
    deleted = replace(REUSED, entries_added=5)
    assert examine(at_50, deleted, hand(60, 60), there=False) == (at_50, None), "the offset's own entry was deleted"


@pytest.mark.parametrize("added", [4, None])
def test_the_successor_of_a_stream_that_was_gone_is_read_from_its_start(added: int | None) -> None:
    successor = replace(REUSED, entries_added=added)
    begun = Place(START, 0 if added else None)
    assert examine(at(50, gone=True), successor, hand(60, 60), there=False) == (begun, None)
    assert examine(at(50, gone=True), successor, hand(60, 60), there=True)[1] is None, "it was put back"


def test_what_a_new_stream_loses_before_it_is_read_is_counted() -> None:
    anew, trimmed = Place(START, 2), stream(5, 10, added=10)
    assert examine(anew, trimmed, hand(5, 10), there=True) == (Place(START, 4), lost(0, 5, 2, exact=True))
    first = examine(Place(), trimmed, hand(5, 10), there=True)
    assert first == (Place(START, 4), None), "what was gone before anybody read is no loss"


def test_a_stream_that_was_read_to_its_end_and_then_expired_is_no_loss() -> None:
    at_the_end, _ = examine(at(10, 10), WHOLE, there=True)
    assert examine(at_the_end, StreamState()) == (at(10, gone=True), None)
    assert examine(at_the_end.past(hand(11, 11)), StreamState())[1] == StreamGone(EntryId(11, 0))


@pytest.mark.parametrize("count", [4, 90])
def test_while_the_offsets_own_entry_is_there_it_is_the_same_stream(count: int) -> None:
    """Copied to another server with the same IDs: `entries-added` starts anew."""
    copied = stream(9, 12, added=4)
    assert examine(at(10, 90), copied, hand(11, 12), there=True) == (at(10), None)
    assert examine(at(12, count), copied, there=True) == (end(12, 4), None)


def test_a_place_moves_to_the_last_entry_and_counts_them_if_it_counts() -> None:
    assert at(3, 3).past(hand(4, 9)) == at(9, 9, read=True)
    assert at(3).past(hand(4, 9)) == at(9, read=True)


def test_what_is_gone_is_what_was_added_and_is_not_there() -> None:
    assert (WHOLE.gone, NONE_LEFT.gone, stream(1, 2, added=None).gone) == (0, 10, None)


def test_reading_from_the_start_of_a_new_stream_after_a_break() -> None:
    place, _ = examine(at(20, 20), WHOLE)
    assert place.offset == START
