"""Where `offset reset` is to go: one of six ways to say it, as an offset inside the stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from gmhealth.core.entry import START, EntryId
from gmhealth.errors import NotFound, Refused
from gmhealth.operations.position import last_before
from gmhealth.operations.times import Moment, id_at, utc_and_local

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import timedelta

    from gmhealth.core.continuity import StreamState
    from gmhealth.operations.session import Session
    from gmhealth.worker.ports import Saved


class Target(NamedTuple):
    """Where the offset is to go, and what a person should know about how that was read.

    `is_end`: what is wanted is the end of the stream, wherever that is by the time the offset moves.
    """

    offset: EntryId
    note: str = ""
    is_end: bool = False


class Place(NamedTuple):
    """What a target is read against."""

    opened: Session
    saved: Saved
    state: StreamState
    now_ms: int


def resolve(opened: Session, saved: Saved, state: StreamState, how: str, value: object) -> Target:
    """Turn the one target into an offset inside the stream. Refuses the future; clamps what is past the end."""
    if not state.exists:
        raise NotFound(
            f"there is no stream {opened.settings.health_stream} on {opened.target.redis}",
            hint="check GMHEALTH_HEALTH_STREAM; `gmhealth doctor` looks at all keys",
        )
    return WAYS[how](Place(opened, saved, state, opened.parts.queries.now_ms()), value)


def _to_start(_place: Place, _value: object) -> Target:
    return Target(START, "the beginning: every entry that is left is run again")


def _to_end(place: Place, _value: object) -> Target:
    return Target(place.state.last_generated, is_end=True)


def _to_id(place: Place, offset: EntryId) -> Target:
    state = place.state
    if offset > state.last_generated:
        return Target(state.last_generated, f"{offset} is past the end of the stream: clamped to its last entry")
    if state.first is not None and offset < state.first.before():
        return Target(offset, "before the first entry that is left: starts with that one")
    return Target(offset)


def _to_time(place: Place, value: Moment) -> Target:
    moment, note = value
    if id_at(moment).ms > place.now_ms:
        raise Refused(
            f"{utc_and_local(moment)} is in the future; nothing was changed",
            hint="--to-end skips all that is unread",
        )
    return _just_before(place, id_at(moment), note)


def _ago(place: Place, value: timedelta) -> Target:
    span_ms = round(value.total_seconds() * 1000)
    return _just_before(place, EntryId(max(0, place.now_ms - span_ms), 0), "")


def _just_before(place: Place, start: EntryId, note: str) -> Target:
    """The last entry before `start`, so that reading goes on with the first one from there."""
    previous = last_before(place.opened.parts, start)
    if previous == START:
        return Target(START, f"{note}; no entry is left from before that time".removeprefix("; "))
    return Target(previous, note)


def _by(place: Place, by: int) -> Target:
    """Go so many entries on or back from the saved offset; stops at either end, and says so."""
    look, stream = place.opened.parts.queries, place.opened.settings.health_stream
    if not place.saved.is_readable:
        raise Refused(
            "--by counts from the saved offset, which is no entry ID; nothing was changed",
            hint="one of --to-id, --to-time, --ago, --to-start, --to-end",
        )
    saved = place.saved.entry_id
    if by >= 0:
        passed = [entry_id for (entry_id, _), _n in zip(look.forward(stream, saved), range(by), strict=False)]
        note = "" if len(passed) == by else f"only {len(passed):,} entries are left: moves to the last one"
        return Target(EntryId.parse(passed[-1]) or saved if passed else saved, note)
    # The offset's own entry may be gone, so the count begins with the newest entry that is not after it.
    passed = [entry_id for entry_id, _ in look.backward(stream, 1 - by, saved)]
    if len(passed) <= -by:
        return Target(START, "fewer entries are left before it: moves before the first one")
    return Target(EntryId.parse(passed[-1]) or START)


WAYS: Final[Mapping[str, Callable[[Place, Any], Target]]] = {
    "to_id": _to_id,
    "to_time": _to_time,
    "ago": _ago,
    "to_start": _to_start,
    "to_end": _to_end,
    "by": _by,
}
