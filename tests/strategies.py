"""Hypothesis strategies: stream entries, health events, rows, and ways to split a stream into batches."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

from hypothesis import strategies as st

from gmhealth.core.entry import Entry, EntryId
from gmhealth.core.events import MAX_GAME_ID_BYTES, MAX_OCCURRED_AT_MS, HealthEvent
from gmhealth.core.plan import Row
from gmhealth.core.rules import EventType, Status

T = TypeVar("T")

GAMES = ("game-a", "game-b")
"""So few that the events of one example meet on one row."""

entry_ids = st.builds(EntryId, st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))


def _events(what: Sequence[tuple[str, EventType, int]]) -> list[HealthEvent]:
    # IDs from 8 to past 10: in another order as text.
    return [HealthEvent(f"{8 + n}-0".encode(), game_id, kind, ms) for n, (game_id, kind, ms) in enumerate(what)]


event_lists = st.lists(
    st.tuples(st.sampled_from(GAMES), st.sampled_from(EventType), st.integers(0, MAX_OCCURRED_AT_MS)), max_size=24
).map(_events)
"""Events in stream order, as `fold` wants them."""

statuses = st.sampled_from(Status) | st.sampled_from([Status.RUNNING, Status.ENGINE_UNREACHABLE])
"""Any status, with the two that events move more often than their share."""

rows = st.builds(Row, statuses, st.integers(0, 2**31 - 1), st.sampled_from(["", "healthy", "oom", "probe_failed"]))
tables = st.dictionaries(st.sampled_from(GAMES), rows)
cuts = st.lists(st.integers(0, 24), max_size=6)


def split(items: Sequence[T], at: Sequence[int]) -> list[Sequence[T]]:
    """Cut `items` into batches that are not empty."""
    edges = [0, *sorted({cut for cut in at if 0 < cut < len(items)}), len(items)]
    return [items[start:end] for start, end in pairwise(edges) if start < end]


game_ids = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1).filter(
    lambda text: bool(text.strip()) and len(text.encode()) <= MAX_GAME_ID_BYTES
)


def _pairs(named: dict[bytes, bytes]) -> st.SearchStrategy[list[bytes]]:
    return st.permutations(list(named.items())).map(lambda pairs: [part for pair in pairs for part in pair])


@st.composite
def valid_entries(draw: st.DrawFn) -> tuple[Entry, HealthEvent]:
    """A valid entry, whatever else it carries and in whatever order, and the event that it is."""
    entry_id = str(draw(entry_ids)).encode()
    event = HealthEvent(
        entry_id, draw(game_ids), draw(st.sampled_from(EventType)), draw(st.integers(0, MAX_OCCURRED_AT_MS))
    )
    named = draw(st.dictionaries(st.binary(max_size=4) | st.sampled_from([b"container_id", b"details"]), st.binary()))
    zeros = draw(st.sampled_from(["", "0", "000"]))
    named[b"game_id"] = event.game_id.encode()
    named[b"event_type"] = event.type.encode()
    named[b"occurred_at_ms"] = f"{zeros}{event.occurred_at_ms}".encode()
    return (entry_id, draw(_pairs(named))), event


_names = st.sampled_from([b"game_id", b"event_type", b"occurred_at_ms", b"details"]) | st.binary(max_size=8)
_values = st.sampled_from([b"game-a", b"probe_failed", b"1", b"-1", b"{}"]) | st.binary() | st.text().map(str.encode)

arbitrary_entries: st.SearchStrategy[Entry] = st.tuples(
    st.binary(), st.lists(st.tuples(_names, _values)).map(lambda pairs: [part for pair in pairs for part in pair])
)
"""Entries that come near a valid one or don't."""
