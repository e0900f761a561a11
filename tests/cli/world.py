"""What stands on the two servers, put there and looked at from outside the program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg
import redis

from gmhealth.core.commit_record import CommitRecord, Server
from gmhealth.core.entry import EntryId

STREAM, LOBBY = "runtime:health_events", "gm:lobby_events"
OFFSET = "gamemaster:stream_offsets:health_events"
RECORD = "gamemaster:commit_mark:health_events"
LETTERS = "gamemaster:dead_letters:health_events"
RETRIED = "gamemaster:dead_letters_retried:health_events"
DROPPED = "gamemaster:dead_letters_dropped:health_events"
AUDIT = "gamemaster:offset_audit:health_events"

HOSTILE = "\x1b[31mred\x1b[0m\x1b]8;;http://evil\x07link\x1b]8;;\x07\u202egnp\u200b[/x][bold]\n\t\x9b2J\x7fend"
"""Colours, a link, right-to-left override, Rich markup, a new line, C1: what a terminal must never be given raw."""


def event(game_id: str, kind: str, ms: int = 1_790_000_000_000, **fields: str | bytes) -> dict[str, str | bytes]:
    """The fields of an event, as Runtime Manager would write them."""
    named: dict[str, str | bytes] = {
        "game_id": game_id,
        "container_id": "0123456789ab",
        "event_type": kind,
        "occurred_at_ms": str(ms),
        "details": "{}",
    }
    return {**named, **fields}


def append(client: redis.Redis, fields: Mapping[str, str | bytes], entry_id: str = "*") -> str:
    """Append an entry to the health stream; returns its ID."""
    flat = [part for pair in fields.items() for part in pair]
    found: bytes = client.execute_command("XADD", STREAM, entry_id, *flat)
    return found.decode()


def put_record(client: redis.Redis, offset: str, *, n: int = 1, entries_read: int | None = None) -> None:
    """Leave the commit record of a consumer's `n`-th commit."""
    at = "2026-11-23 03:00:00+00"
    client.set(RECORD, CommitRecord(n, "host:7:ab", offset, entries_read, at, Server(), verified=True).pack())


def snapshots(client: redis.Redis) -> list[tuple[str, str, str, str]]:
    """Game, status, summary and time of every snapshot."""
    names = (b"game_id", b"runtime_status", b"engine_health_summary", b"occurred_at_ms")
    found: Any = client.xrange(LOBBY)
    return [(named[names[0]].decode(), *(named[name].decode() for name in names[1:])) for _, named in found]


def dump(client: redis.Redis, pg: psycopg.Connection) -> tuple[dict[bytes, Any], list[Any]]:
    """Everything that both servers hold, to the transaction that wrote each row."""
    keys: Any = client.keys("*")
    return (
        {key: client.dump(key) for key in sorted(keys)},
        pg.execute("SELECT xmin::text, runtime_records.* FROM runtime_records ORDER BY game_id").fetchall(),
    )


def last_id(client: redis.Redis) -> str:
    """The ID of the last entry of the health stream."""
    found: Any = client.xinfo_stream(STREAM)
    return str(EntryId.parse(found["last-generated-id"]))
