"""Where the stream does not lead on from the offset, now or the last time that a consumer met it, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gmhealth.core.continuity import (
    Break,
    EntriesLost,
    Place,
    RolledBack,
    StreamBehind,
    StreamReplaced,
    StreamState,
    examine,
)
from gmhealth.operations.models import BreakView, EntryView, GapView
from gmhealth.operations.times import EPOCH, ago, from_ms

if TYPE_CHECKING:
    from gmhealth.bootstrap import Parts
    from gmhealth.worker.ports import Saved

RECENT_S: Final = 24 * 3600
"""A break is on `doctor`'s list for a day."""
BEHIND: Final = "the stream ends before the offset: it was recreated or failed over; `consume` reads it from its start"
REPLACED: Final = "another stream has taken the place of the one that was read; `consume` reads it from its start"
GONE: Final = "the stream is gone; it is not known how many of its entries were unread"
ROLLED_BACK: Final = (
    "as in a failover; rows written since then were published again, and entries of the stream may be lost"
)


def gap(parts: Parts, saved: Saved, state: StreamState) -> GapView | None:
    """What a consumer that started now would find broken."""
    if saved.is_first:
        return None
    place = Place(saved.entry_id, saved.entries_read)
    own = parts.queries.forward(parts.keys.source, place.offset.before(), place.offset, page=1)
    broken = examine(place, state, there=next(own, None) is not None)[1]
    if broken is None:
        return None
    return GapView(kind=broken.kind, lost=_lost(broken), exact=_exact(broken), text=_text(broken))


def last_break(parts: Parts) -> BreakView | None:
    """The last one that a consumer met, which has gone on since."""
    noted = parts.ledger.last_break()
    if noted is None:
        return None
    broken, at_ms = noted
    return BreakView(
        kind=broken.kind,
        at=from_ms(at_ms) or EPOCH,
        offset=EntryView(id=str(broken.offset), time=from_ms(broken.offset.ms)),
        lost=_lost(broken),
        exact=_exact(broken),
        text=_text(broken),
    )


def break_text(broken: BreakView | None, now_s: float) -> str:
    """Say it with its age."""
    if broken is None:
        return "none was ever met"
    return f"{ago(now_s - broken.at.timestamp())}, after {broken.offset.id}: {broken.text}"


def is_recent(broken: BreakView | None, now_s: float) -> bool:
    """Whether somebody should still look into it."""
    return broken is not None and now_s - broken.at.timestamp() < RECENT_S


def _lost(broken: Break) -> int | None:
    return broken.lost if isinstance(broken, EntriesLost | StreamReplaced) else None


def _exact(broken: Break) -> bool:
    return not isinstance(broken, EntriesLost) or broken.exact


def _text(broken: Break) -> str:
    match broken:
        case EntriesLost(lost=lost, exact=exact):
            # The entry at the offset may itself be the last one that was trimmed: then nothing is missing.
            count = "an unknown number of" if lost is None else f"{'' if exact else 'up to '}{lost:,}"
            return f"the stream was trimmed past the offset: {count} entries are gone that were never read"
        case StreamReplaced(lost=lost):
            return f"{REPLACED}; {lost:,} of its entries are gone that were never read" if lost else REPLACED
        case StreamBehind():
            return BEHIND
        case RolledBack(first_left=left):
            return f"Redis lost the last commits and went back to {left or 'no offset at all'}, {ROLLED_BACK}"
        case _:
            return GONE
