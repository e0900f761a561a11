"""Where the stream does not lead on from the offset, now or the last time that a consumer met it, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gmhealth.cli.times import EPOCH, ago, from_ms
from gmhealth.cli.views import BreakView, EntryView, GapView
from gmhealth.core.continuity import Break, EntriesLost, Place, StreamBehind, StreamReplaced, StreamState, examine

if TYPE_CHECKING:
    from gmhealth.bootstrap import Parts
    from gmhealth.worker.ports import Saved

RECENT_S: Final = 24 * 3600
"""A break is on `doctor`'s list for a day."""
BEHIND: Final = "the stream ends before the offset: it was recreated or failed over; `consume` reads it from its start"
REPLACED: Final = "another stream has taken the place of the one that was read; `consume` reads it from its start"
GONE: Final = "the stream is gone: it was deleted after it was read"


def gap(parts: Parts, saved: Saved, state: StreamState) -> GapView | None:
    """What a consumer that started now would find broken."""
    if saved.text is None:
        return None
    place = Place(saved.entry_id, read=saved.was_read)
    own = parts.look.forward(parts.keys.source, place.offset.before(), place.offset, page=1)
    broken = examine(place, state, there=next(own, None) is not None)[1]
    return None if broken is None else GapView(kind=broken.kind, lost=_lost(broken), exact=False, text=_text(broken))


def last_break(parts: Parts) -> BreakView | None:
    """The last one that a consumer met, which has gone on since."""
    noted = parts.ledger.last_break()
    if noted is None:
        return None
    broken, at_ms = noted
    exact = not isinstance(broken, EntriesLost) or broken.exact
    return BreakView(
        kind=broken.kind,
        at=from_ms(at_ms) or EPOCH,
        offset=EntryView(id=str(broken.offset), time=from_ms(broken.offset.ms)),
        lost=_lost(broken),
        exact=exact,
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
        case _:
            return GONE
