"""Where the consumer stands: looked up once, for `offset show`, `status` and `doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from gmhealth.core.continuity import StreamGone, StreamState
from gmhealth.core.entry import START, EntryId
from gmhealth.core.lag import Lag, estimated_lag, known_lag
from gmhealth.operations.discontinuities import gap, last_break
from gmhealth.operations.leader import holder
from gmhealth.operations.models import BreakView, EntryView, GapView, LagView, OffsetView
from gmhealth.operations.times import span, time_of

if TYPE_CHECKING:
    from gmhealth.bootstrap import Parts
    from gmhealth.operations.session import Session
    from gmhealth.worker.ports import Saved

COUNTED: Final = 10_000
"""So many entries are counted one by one; a longer lag is estimated."""


class Standing(NamedTuple):
    """The saved offset against the stream."""

    saved: Saved
    state: StreamState
    lag: LagView
    gap: GapView | None
    last_break: BreakView | None


def standing(parts: Parts) -> Standing:
    """Look at offset and stream."""
    saved, state = parts.ledger.saved(), parts.stream.state()
    broken = gap(parts, saved, state)
    lag = _lag(parts, saved, state, broken)
    return Standing(saved, state, lag, broken, last_break(parts))


def lag_after(parts: Parts, offset: EntryId, state: StreamState, entries_read: int | None = None) -> Lag:
    """Entries after `offset`: exact where the stream's figures or a short count tell.

    `entries_read`: so many-th is the entry at `offset`, in this very stream; None where that is not known.
    """
    known = known_lag(offset, state, entries_read)
    if known is not None:
        return known
    counted = parts.queries.count_after(parts.keys.source, offset, COUNTED)
    return Lag(counted, exact=True) if counted < COUNTED else estimated_lag(offset, state, counted)


def _lag(parts: Parts, saved: Saved, state: StreamState, broken: GapView | None) -> LagView:
    if broken is not None and broken.kind == StreamGone.kind:
        return LagView(entries=None, exact=False, seconds=0)
    offset = saved.entry_id
    lag = lag_after(parts, offset, state, saved.entries_read if broken is None else None)
    oldest = next(iter(parts.queries.forward(parts.keys.source, offset, page=1)), None) if lag.entries else None
    if oldest is None:
        return LagView(entries=0, exact=True, seconds=0)
    unread = EntryId.parse(oldest[0]) or offset
    return LagView(entries=lag.entries, exact=lag.exact, seconds=max(0, parts.queries.now_ms() - unread.ms) / 1000)


def lag_text(lag: LagView) -> str:
    """Say the lag in words."""
    if lag.entries is None:
        return "unknown how many were unread: the stream is gone"
    if not lag.entries:
        return "none: nothing is left to read"
    return f"{'' if lag.exact else 'about '}{lag.entries:,} entries; the oldest unread one is {span(lag.seconds)} old"


def last_before(parts: Parts, start: EntryId) -> EntryId:
    """The last entry before `start` that is left: from this offset on, reading goes on at `start`."""
    if start <= START:
        return START
    previous = next(parts.queries.backward(parts.keys.source, 1, start.before()), None)
    return START if previous is None else EntryId.parse(previous[0]) or START


def entry_view(entry_id: EntryId | None) -> EntryView | None:
    """Show an ID with its time."""
    return None if entry_id is None else EntryView(id=str(entry_id), time=time_of(entry_id))


def position(opened: Session) -> OffsetView:
    """The saved offset against the stream, the lag, and who consumes."""
    parts = opened.parts
    found = standing(parts)
    record, last_reset, held = found.saved.record, parts.reset.last(), holder(parts)
    return OffsetView(
        target=opened.target,
        offset=None if found.saved.is_first else entry_view(found.saved.entry_id),
        first=entry_view(found.state.first),
        last=entry_view(found.state.last),
        length=found.state.length,
        lag=found.lag,
        gap=found.gap,
        last_break=found.last_break,
        consumer=held.consumer,
        replay=held.replay,
        last_commit_by=None if record is None else record.id,
        last_reset=dict(last_reset) if last_reset else None,
    )
