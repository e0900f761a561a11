"""What a Redis database holds, with types that redis-py's own answers do not have."""

from __future__ import annotations

from collections.abc import Mapping

import redis


def append(client: redis.Redis, stream: str, fields: Mapping[str, str | bytes], entry_id: str = "*") -> str:
    """XADD; the ID of the new entry."""
    pairs = [part for pair in fields.items() for part in pair]
    found: bytes = client.execute_command("XADD", stream, entry_id, *pairs)
    return found.decode()


def raw_entries(client: redis.Redis, stream: str) -> list[tuple[str, list[bytes]]]:
    """A stream's entries, each with its ID and its names and values in turn."""
    client.set_response_callback("XRANGE", lambda reply, **_: reply)
    return [(entry_id.decode(), fields) for entry_id, fields in client.execute_command("XRANGE", stream, "-", "+")]


def entries(client: redis.Redis, stream: str) -> list[tuple[str, dict[str, str]]]:
    """The same where names and values are text, and no name comes twice."""
    return [
        (entry_id, dict(zip(map(bytes.decode, fields[::2]), map(bytes.decode, fields[1::2]), strict=True)))
        for entry_id, fields in raw_entries(client, stream)
    ]


def text(client: redis.Redis, key: str) -> str | None:
    """A plain string, as text."""
    found: bytes | None = client.execute_command("GET", key)
    return None if found is None else found.decode()


def everything(client: redis.Redis) -> dict[bytes, bytes]:
    """All keys with all that they hold."""
    return {key: client.execute_command("DUMP", key) for key in client.execute_command("KEYS", "*")}


def restore(client: redis.Redis, saved: dict[bytes, bytes]) -> None:
    """Put Redis back to where it was, as a replica that lacks the rest does when it is promoted."""
    client.flushdb()
    for key, value in saved.items():
        client.restore(key, 0, value)
