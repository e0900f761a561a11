"""`examine` against a simulated stream whose losses are known one by one (I9)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

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


@dataclass
class Simulated:
    """A stream, with the entries that nobody has read, and how many were removed unread and without a word."""

    last_generated: EntryId = START
    exists: bool = False
    entries: list[EntryId] = field(default_factory=list)
    added: int = 0
    unread: set[EntryId] = field(default_factory=set)
    untold: int = 0
    untold_trimmed: int = 0

    def add(self, number: int) -> None:
        """XADD."""
        self.exists = True
        for _ in range(number):
            self.last_generated = EntryId(self.last_generated.ms + 1, 0)
            self.entries.append(self.last_generated)
            self.unread.add(self.last_generated)
            self.added += 1

    def delete(self, at: int) -> bool:
        """XDEL; whether it was unread."""
        if not self.entries:
            return False
        gone = self.entries.pop(at % len(self.entries))
        lost = gone in self.unread
        self.unread.discard(gone)
        self.untold += lost
        return lost

    def trim(self, number: int) -> None:
        """XTRIM."""
        for _ in range(number):
            self.untold_trimmed += self.delete(0)

    def put_back(self, ids: Collection[EntryId], *, lost: bool) -> None:
        """Have `ids` unread again; those that were trimmed meanwhile are `lost` without a word, unless it was said."""
        left = set(ids).intersection(self.entries)
        self.unread |= left
        if lost:
            self.untold += len(ids) - len(left)
            self.untold_trimmed += len(ids) - len(left)

    def state(self) -> StreamState:
        """XINFO STREAM."""
        if not self.exists:
            return StreamState()
        first, last = (self.entries[0], self.entries[-1]) if self.entries else (None, None)
        return StreamState(True, len(self.entries), self.added, first, last, self.last_generated)

    def all_told(self) -> None:
        """Start counting anew."""
        self.untold = self.untold_trimmed = 0


class Reader(RuleBasedStateMachine):
    """Reads as the worker does, while entries come and go."""

    def __init__(self) -> None:
        super().__init__()
        self.stream = Simulated()
        self.place = Place()

    @rule(number=st.integers(1, 5))
    def add(self, number: int) -> None:
        self.stream.add(number)

    @rule(number=st.integers(1, 6))
    def trim(self, number: int) -> None:
        self.stream.trim(number)

    @rule(at=st.integers(0, 20))
    def delete(self, at: int) -> None:
        self.stream.delete(at)

    @rule(counted=st.booleans())
    def restart(self, counted: bool) -> None:
        """All that is kept is the offset and how many entries were read, or it was moved."""
        self.place = Place(self.place.offset, self.place.count if counted else None, gone=self.place.gone)

    @precondition(lambda self: self.place.offset > START)
    @rule()
    def vanish(self) -> None:
        """DEL; IDs being times, those of a later stream go on."""
        self.stream = Simulated(self.stream.last_generated)
        expected = None if self.place.gone or self.place.at_end else StreamGone(self.place.offset)
        assert self.read() == expected

    @precondition(
        lambda self: self.place.offset > START and (self.place.read or self.place.count) and not self.place.gone
    )
    @rule(number=st.integers(1, 5), trimmed=st.integers(0, 2))
    def recreate_going_on(self, number: int, trimmed: int) -> None:
        """DEL and new entries, unseen; what tells is that fewer were removed than we have read, or one, at least."""
        was = self.place
        self.stream = Simulated(self.stream.last_generated)
        self.stream.add(number)
        self.stream.trim(min(trimmed, number, (was.count or 1) - 1))
        lost = self.stream.untold
        first = self.stream.entries[0] if self.stream.entries else None
        assert self.read() == StreamReplaced(was.offset, first, lost)
        assert self.place == Place(START, lost)

    @precondition(lambda self: self.place.offset.ms > 1)
    @rule(number=st.integers(1, 5))
    def recreate_behind(self, number: int) -> None:
        """DEL and new entries by a clock that is behind."""
        offset = self.place.offset
        self.stream = Simulated()
        self.stream.add(min(number, offset.ms - 1))
        assert self.read() == StreamBehind(offset, self.stream.last_generated)
        assert self.place == Place()

    @rule(limit=st.integers(1, 4), meanwhile=st.integers(0, 3), trimmed=st.integers(0, 3))
    def read_on(self, limit: int, meanwhile: int, trimmed: int) -> None:
        self.read(limit, meanwhile, trimmed)

    @rule(number=st.integers(1, 3), trimmed=st.integers(0, 6))
    def catch_up(self, number: int, trimmed: int) -> None:
        """Read to the end, from where on losses are counted; then some entries are added, and old ones trimmed."""
        if self.stream.unread:
            self.read(limit=100)
        self.read()
        self.stream.add(number)
        self.stream.trim(trimmed)

    def read(self, limit: int = 1, meanwhile: int = 0, trimmed: int = 0) -> Break | None:
        """One read as the worker makes it; before the stream is looked at, entries are added and trimmed."""
        after, stream, broken = self.place, self.stream, None
        ids = [entry_id for entry_id in stream.entries if entry_id > after.offset][:limit]
        unbroken = after.offset != START and after.offset in stream.entries
        stream.unread.difference_update(ids)
        if after == Place() and ids:
            stream.all_told()  # what went before anybody read is no loss
        if stream.exists:
            stream.add(meanwhile)
        stream.trim(trimmed)
        hand: list[Entry] = [(str(entry_id).encode(), ()) for entry_id in ids]
        if not (hand and unbroken):
            broken = self.look(hand)
        if self.place.offset < after.offset:
            stream.put_back(ids, lost=broken is None)  # the worker drops them, and begins at the beginning
        elif hand:
            self.place = self.place.past(hand)
        return broken

    def look(self, hand: list[Entry]) -> Break | None:
        was, stream, state = self.place, self.stream, self.stream.state()
        there = was.offset == START or was.offset in stream.entries
        self.place, broken = examine(was, state, hand, there=there)
        if isinstance(broken, EntriesLost):
            assert broken.lost is not None
            assert broken.lost == stream.untold if broken.exact else broken.lost >= stream.untold
            assert broken.lost > 0
        if broken is None and was.offset > START and not was.gone:
            assert stream.untold_trimmed == 0
        if (
            broken is None
            and was.count is not None
            and not was.gone
            and stream.exists
            and not any(i > was.offset for i in stream.entries)
        ):
            assert stream.untold == 0
        if broken is not None or (was.count is None and not was.gone and self.place.count is not None):
            stream.all_told()
        return broken


TestReader = Reader.TestCase
TestReader.settings = settings(max_examples=200, stateful_step_count=30)
