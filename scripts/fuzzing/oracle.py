"""What an entry is and what it does, by the contract's words; shares nothing with gmhealth."""

from __future__ import annotations

from typing import Final, NamedTuple

from scripts.oracle import SUMMARIES
from scripts.oracle import after as after_event

TYPES: Final = [kind.encode() for kind in SUMMARIES]
LAST_MS: Final = 253_402_300_799_999


class Event(NamedTuple):
    """What a valid entry says."""

    game_id: str
    type: bytes


class Row(NamedTuple):
    """A game's row."""

    status: str
    summary: str


def event(fields: list[bytes]) -> Event | None:
    """Read an entry; None for one that belongs into the dead letters."""
    names, values = fields[::2], fields[1::2]
    if len(set(names)) < len(names):
        return None
    named = dict(zip(names, values, strict=True))
    if not {b"game_id", b"event_type", b"occurred_at_ms"} <= named.keys() or named[b"event_type"] not in TYPES:
        return None
    game_id = _game_id(named[b"game_id"])
    return Event(game_id, named[b"event_type"]) if game_id and _is_time(named[b"occurred_at_ms"]) else None


def _game_id(raw: bytes) -> str:
    try:
        text = raw.decode("utf-8", "strict")
    except UnicodeDecodeError:
        return ""
    return "" if "\0" in text or text.isspace() or len(raw) > 256 else text


def _is_time(raw: bytes) -> bool:
    return 0 < len(raw) <= 18 and set(raw) <= set(b"0123456789") and int(raw) <= LAST_MS


def after(row: Row, kind: bytes) -> Row:
    """A row after an event."""
    status, summary, _ = after_event(row.status, kind.decode())
    return Row(status, summary)
