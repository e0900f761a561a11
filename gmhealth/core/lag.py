"""How far a consumer is behind the end of the stream."""

from __future__ import annotations

from dataclasses import dataclass

from gmhealth.core.continuity import StreamState
from gmhealth.core.entry import START, EntryId


@dataclass(frozen=True, slots=True)
class Lag:
    """Entries after the offset; an estimate where `exact` is False. `counted` is how many were looked at for it."""

    entries: int
    exact: bool


def known_lag(offset: EntryId, state: StreamState, entries_read: int | None = None) -> Lag | None:
    """The lag where the stream's own figures tell it; None where entries must be counted.

    `entries_read`: so many-th of all that were ever added to this stream is the entry at `offset`.
    """
    if not state.length or offset >= state.last_generated:
        return Lag(0, exact=True)
    if offset == START or (state.first is not None and offset < state.first):
        return Lag(state.length, exact=True)
    if state.last is not None and offset >= state.last:
        return Lag(0, exact=True)
    if entries_read is not None and state.entries_added is not None and state.entries_added > entries_read:
        return Lag(state.entries_added - entries_read, exact=True)
    return None


def estimated_lag(offset: EntryId, state: StreamState, counted: int) -> Lag:
    """Guess, as if entries came evenly between the first and the last; never less than `counted`."""
    if state.first is None or state.last is None or state.last.ms <= state.first.ms:
        return Lag(max(counted, state.length), exact=False)
    share = (state.last.ms - offset.ms) / (state.last.ms - state.first.ms)
    return Lag(max(counted, min(state.length, round(state.length * share))), exact=False)
