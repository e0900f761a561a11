"""Whether the stream still leads on from where we are: what was trimmed, deleted or recreated (I9).

Redis says none of it by itself: XREAD after a trimmed ID starts at the first survivor, and after an ID beyond the
stream's end it waits for ever. `entries-added` only ever grows (Redis manual, XINFO STREAM), so counting what we
read against it shows every loss, whatever removed the entries; and a stream that has lost or had fewer than we have
read is another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Final

from gmhealth.core.entry import START, Entry, EntryId


@dataclass(frozen=True, slots=True)
class StreamState:
    """A stream as `XINFO STREAM` shows it; `first` and `last` are None when it has no entry.

    `entries_added` is None on servers before Redis 7.0, which do not count.
    """

    exists: bool = False
    length: int = 0
    entries_added: int | None = None
    first: EntryId | None = None
    last: EntryId | None = None
    last_generated: EntryId = START

    @property
    def gone(self) -> int | None:
        """Entries trimmed or deleted since the stream was made, None where it is not counted."""
        return None if self.entries_added is None else max(0, self.entries_added - self.length)


@dataclass(frozen=True, slots=True)
class EntriesLost:
    """Entries after `offset` were removed before they were read; `first_left` is where reading goes on.

    `lost` is the number of them, an upper bound where `exact` is False, and None where the server does not count.
    """

    kind: ClassVar[str] = "trimmed"
    offset: EntryId
    first_left: EntryId | None
    lost: int | None
    exact: bool


@dataclass(frozen=True, slots=True)
class StreamBehind:
    """The stream ends before `offset`: recreated, or failed over. Reading starts again at its beginning."""

    kind: ClassVar[str] = "behind"
    offset: EntryId
    last_generated: EntryId


@dataclass(frozen=True, slots=True)
class StreamReplaced:
    """Another stream, whose IDs have passed `offset`, has taken the place of the one that was read.

    It is read from its beginning, `first_left`; `lost` of its entries were removed before.
    """

    kind: ClassVar[str] = "replaced"
    offset: EntryId
    first_left: EntryId | None
    lost: int


@dataclass(frozen=True, slots=True)
class StreamGone:
    """There is no stream any more. Its successor is read from its beginning."""

    kind: ClassVar[str] = "gone"
    offset: EntryId


@dataclass(frozen=True, slots=True)
class RolledBack:
    """Redis has lost commits that a process had seen, as a promoted replica may: from `offset` back to `first_left`.

    Entries of the stream and snapshots may be lost with them. None: no offset, or no commit record, is left at all.
    """

    kind: ClassVar[str] = "rolled_back"
    offset: EntryId
    first_left: EntryId | None


Break = EntriesLost | StreamBehind | StreamReplaced | StreamGone | RolledBack
BREAKS: Final = {each.kind: each for each in (EntriesLost, StreamBehind, StreamReplaced, StreamGone, RolledBack)}
"""By the names that people and metrics know them by."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where reading stands: after `offset`, the `count`-th entry ever added (None: not known yet).

    `read`: `offset` is the ID of an entry that was read, and not one that an operator has chosen. `at_end`: the last
    look found nothing after it. `gone`: the stream that it was in is no more, which was reported if it was a loss.
    """

    offset: EntryId = START
    count: int | None = None
    read: bool = False
    gone: bool = False
    at_end: bool = False

    def past(self, entries: Sequence[Entry]) -> Place:
        """The place after `entries`, which were read from here."""
        last = EntryId.parse(entries[-1][0]) or self.offset
        return Place(last, None if self.count is None else self.count + len(entries), read=True)


def examine(
    place: Place, state: StreamState, hand: Sequence[Entry] = (), *, there: bool = False
) -> tuple[Place, Break | None]:
    """Judge `state`, looked at after `hand` was read from `place`: where to read on from, and what broke, if anything.

    Called when the entry at `place` is no longer `there`, at a stream's beginning, and whenever a read found nothing.
    """
    if not state.exists:
        return _gone(place)
    # The stream may have become another one since the entry was looked for.
    there = there and state.first is not None and state.first <= place.offset
    if there and place.count is not None and state.entries_added is not None and state.entries_added < place.count:
        place = replace(place, count=None)  # copied to another server, which has counted anew
    if state.last_generated < place.offset:
        return Place(), StreamBehind(place.offset, state.last_generated)
    if place.offset != START and _is_another(place, state, there=there):
        if place.gone:
            return Place(START, None if state.gone is None else 0), None
        lost = state.gone or 0
        return Place(START, lost), StreamReplaced(place.offset, state.first, lost)
    if not hand and (state.last is None or state.last <= place.offset):
        return _at_the_end(place, state)
    return _trimmed(place, state, hand)


def _gone(place: Place) -> tuple[Place, Break | None]:
    if place.offset == START:
        return Place(), None
    known = place.gone or place.at_end  # what was read and then expired is no loss
    return Place(place.offset, gone=True), None if known else StreamGone(place.offset)


def _is_another(place: Place, state: StreamState, *, there: bool) -> bool:
    """Whether fewer entries were added to this stream, or removed from it, than we know of the one that we read.

    What was read and is not there was removed: all of it, if even the oldest entry comes after it.
    """
    if there:
        return False
    if place.gone:
        return True
    if state.entries_added is None or state.gone is None:
        return False
    if place.count is not None and state.entries_added < place.count:
        return True
    if state.first is None or state.first > place.offset:
        return state.gone < (place.count or place.read)
    return state.gone < (place.read or place.count is not None)


def _at_the_end(place: Place, state: StreamState) -> tuple[Place, Break | None]:
    """Nothing is left to read, so all that was ever added is read or lost."""
    read = place.read and place.offset == state.last_generated
    here = Place(state.last_generated, state.entries_added, read, at_end=True)
    if place.count is not None and state.entries_added is not None:
        lost = state.entries_added - place.count
        return here, EntriesLost(place.offset, None, lost, exact=True) if lost > 0 else None
    if place.offset in (START, state.last_generated):
        return here, None
    return here, EntriesLost(place.offset, None, state.gone, exact=False)


def _trimmed(place: Place, state: StreamState, hand: Sequence[Entry]) -> tuple[Place, Break | None]:
    """Trimming starts at the oldest entry: where one before the offset survives, nothing after it was trimmed."""
    if state.first is not None and state.first <= place.offset:
        return place, None
    # A batch that was read ahead is looked at late: what was trimmed since then, having been read, is not lost.
    since = sum(state.first is None or (EntryId.parse(entry_id) or START) < state.first for entry_id, _ in hand)
    if place == Place():  # nothing was ever read: what is gone was never ours, and only counts
        return replace(place, count=None if state.gone is None else state.gone - since), None
    oldest = EntryId.parse(hand[0][0]) if hand else state.first
    if state.gone is None:
        return replace(place, count=None), EntriesLost(place.offset, oldest, None, exact=False)
    lost = state.gone - since - (place.count or 0)
    exact = place.count is not None and (not hand or since < len(hand))
    here = replace(place, count=state.gone - since)
    return here, EntriesLost(place.offset, oldest, lost, exact=exact) if lost > 0 else None
