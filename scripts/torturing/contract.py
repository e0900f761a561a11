"""The contract as the judge knows it: which entries are events, and what each does. Shares nothing with gmhealth."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from msgspec import DecodeError, Struct, ValidationError, json, msgpack

from scripts.oracle import SUMMARIES, TRANSITIONS, after

SWAPS = frozenset(TRANSITIONS.values())
ROW_REFUSED = "row_refused"


class Event(NamedTuple):
    """A health event."""

    game_id: str
    kind: str
    at: int

    @property
    def summary(self) -> str:
        """What it says about the engine."""
        return SUMMARIES[self.kind]

    @property
    def target(self) -> str:
        """The status that it leads to; "" for none."""
        return TRANSITIONS[self.kind][1] if self.kind in TRANSITIONS else ""


class Folded(NamedTuple):
    """One event's effect: the status after it, and whether it moved it."""

    event: Event
    status: str
    swapped: bool


def event_of(parts: Sequence[bytes]) -> Event | None:
    """Read an entry; None if it is no health event."""
    names = parts[::2]
    fields = dict(zip(names, parts[1::2], strict=True))
    wanted = (b"game_id", b"event_type", b"occurred_at_ms")
    if any(names.count(name) != 1 for name in wanted):
        return None
    try:
        game_id, kind, at = (fields[name].decode() for name in wanted)
    except UnicodeDecodeError:
        return None
    if not game_id.strip() or "\0" in game_id or kind not in SUMMARIES or not at.isdigit():
        return None
    return Event(game_id, kind, int(at))


def fold(events: Sequence[Event], status: str) -> list[Folded]:
    """Apply a game's events in order to its status."""
    found = []
    for event in events:
        status, _, swapped = after(status, event.kind)
        found.append(Folded(event, status, swapped))
    return found


class CommitRecord(Struct, frozen=True):
    """What a commit leaves for the next leader (design 3.1, R)."""

    n: int
    worker: str
    offset: str
    entries_read: int | None
    written_at: str
    verified: bool
    server: dict[str, str] = {}

    @property
    def id(self) -> str:
        """Names the commit."""
        return f"{self.worker}#{self.n}"

    @property
    def pid(self) -> int:
        """The process that committed."""
        return int(self.worker.split(":")[-2])

    @property
    def written_us(self) -> int:
        """The time up to which all that was written has been published, in Unix microseconds."""
        return microseconds(self.written_at)

    @property
    def started_us(self) -> int:
        """When the PostgreSQL that it was written to was started, in Unix microseconds."""
        return microseconds(self.server["started"]) if self.server else 0


def commit_record_of(packed: bytes) -> CommitRecord | None:
    """Read a commit record; None for all else."""
    try:
        return json.decode(packed, type=CommitRecord)
    except (DecodeError, ValidationError, UnicodeDecodeError):
        return None


def microseconds(text: str) -> int:
    """Read a time as PostgreSQL writes it, exactly."""
    return (datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


class Letter(NamedTuple):
    """A dead letter; `refusal` has PostgreSQL's words, None for an entry that is no health event."""

    source_id: str
    fields: list[bytes]
    refusal: str | None = None


def letter_of(packed: bytes) -> Letter:
    """Read a dead letter, a MessagePack array of source ID, reason, fields and, for a refused row, why."""
    source_id, reason, fields, *words = msgpack.decode(packed)
    if bool(words) != (reason == ROW_REFUSED):
        raise ValueError(f"a dead letter of another form: {packed!r}")
    return Letter(source_id.decode(), fields, *words)
