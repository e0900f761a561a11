"""The range that a replay runs: both ends inclusive, as a person pastes them, and fixed before anything is run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from gmhealth.core.entry import START, EntryId
from gmhealth.errors import ConfigError, NotFound
from gmhealth.operations.position import lag_after
from gmhealth.operations.times import Moment, id_at

if TYPE_CHECKING:
    from gmhealth.core.continuity import StreamState
    from gmhealth.operations.session import Session


class Ends(NamedTuple):
    """The options that name a range, as given."""

    from_id: EntryId | None
    from_time: Moment | None
    to_id: EntryId | None
    to_time: Moment | None

    def check(self) -> None:
        """Refuse what says too little or too much."""
        if (self.from_id is None) == (self.from_time is None):
            raise ConfigError("a replay needs one start", hint="exactly one of --from-id and --from-time")
        if self.to_id is not None and self.to_time is not None:
            raise ConfigError("a replay has one end", hint="at most one of --to-id and --to-time")

    def first(self, say: Callable[[str], None]) -> EntryId:
        """The first entry that is run."""
        if self.from_time is not None:
            return EntryId(_ms("--from-time", self.from_time, say), 0)
        return self.from_id or START

    def last(self, state: StreamState, say: Callable[[str], None]) -> EntryId:
        """The last entry that is run."""
        if self.to_id is not None:
            return min(self.to_id, state.last_generated)
        if self.to_time is not None:
            return min(EntryId(_ms("--to-time", self.to_time, say) + 1, 0).before(), state.last_generated)
        return state.last_generated


class Range(NamedTuple):
    """What is run, about how many entries that is, and what of it may be gone."""

    first: EntryId
    last: EntryId
    entries: int
    trimmed: str | None


def resolve(opened: Session, ends: Ends) -> Range:
    """Turn the options into IDs; the end is fixed now, so that what comes meanwhile is not run."""
    state, parts = opened.parts.stream.state(), opened.parts
    stream = f"{opened.settings.health_stream} on {opened.target.redis}"
    if not state.exists:
        raise NotFound(f"there is no stream {stream}", hint="check GMHEALTH_HEALTH_STREAM; `gmhealth doctor` looks")
    first, last = ends.first(opened.say), ends.last(state, opened.say)
    if last < first or state.first is None or last < state.first:
        kept = f"from {state.first} to {state.last}" if state.first else "no entry any more"
        raise NotFound(
            f"nothing is left to replay from {first} to {last}: {stream} has {kept}",
            hint=f"{opened.command('offset', 'show')} shows its ends",
        )
    entries = lag_after(parts, first.before(), state).entries - lag_after(parts, last, state).entries
    return Range(first, last, max(0, entries), _trimmed(first, state))


def _ms(option: str, given: Moment, say: Callable[[str], None]) -> int:
    moment, note = given
    if note:
        say(f"{option}: {note}")
    return id_at(moment).ms


def _trimmed(first: EntryId, state: StreamState) -> str | None:
    if state.gone == 0 or (state.first is not None and state.first <= first):
        return None
    removed = "this server does not count what was removed" if state.gone is None else f"{state.gone:,} were removed"
    return f"part of the range may be gone: {removed} from the stream, which starts with {state.first}"
