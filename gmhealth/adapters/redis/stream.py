"""The stream of health events, read in raw bytes."""

from __future__ import annotations

from typing import Any

import redis
from redis import exceptions

from gmhealth.adapters.redis.connection import round_trip, translated, unless_error
from gmhealth.adapters.redis.ledger import LedgerKeys, ask_saved, read_saved
from gmhealth.core.continuity import StreamState
from gmhealth.core.entry import START, Entry, EntryId
from gmhealth.worker.ports import Read


class RedisStream:
    """Reads `stream`; each read looks at the saved offset in the same round trip, right after the entries.

    With `any_offset` for one who does not go by it: it need then be no entry ID.
    """

    def __init__(self, client: redis.Redis, stream: str, keys: LedgerKeys, *, any_offset: bool = False) -> None:
        self._client, self._stream, self._keys, self._any_offset = client, stream, keys, any_offset

    def read(self, after: EntryId, limit: int, block_ms: int) -> Read:
        """Read with XREAD BLOCK; the wait must stay below the connection's time-out."""
        wait = ("BLOCK", block_ms) if block_ms else ()  # BLOCK 0 waits for ever
        return self._read("XREAD", "COUNT", limit, *wait, "STREAMS", self._stream, str(after), after=after)

    def read_range(self, after: EntryId, last: EntryId, limit: int) -> Read:
        """Read with XRANGE, whose start is exclusive here."""
        return self._read("XRANGE", self._stream, f"({after}", str(last), "COUNT", limit, after=after)

    def _read(self, *command: str | int, after: EntryId) -> Read:
        # Asked after the read: an entry that is still there now proves that nothing after it was trimmed before.
        own = ("XRANGE", self._stream, str(after), str(after), "COUNT", 1)
        with translated(self._client, f"read the stream {self._stream}"):
            replies = round_trip(self._client, command, *ask_saved(self._keys), own)
            reply, *values, found = map(unless_error, replies)
        entries: list[Entry] = _only_stream(reply) if command[0] == "XREAD" else reply
        saved = read_saved(values, self._keys, any_offset=self._any_offset)
        return Read(entries, saved, unbroken=after == START or bool(found))

    def append(self, fields: list[bytes]) -> EntryId:
        """Append an entry, as Runtime Manager does; returns its ID."""
        with translated(self._client, f"append to the stream {self._stream}"):
            reply = unless_error(*round_trip(self._client, ("XADD", self._stream, "*", *fields)))
        return EntryId.parse(reply) or START

    def state(self) -> StreamState:
        """Look at the stream with XINFO STREAM; a missing key is a stream that does not exist."""
        with translated(self._client, f"look at the stream {self._stream}"):
            (reply,) = round_trip(self._client, ("XINFO", "STREAM", self._stream))
            if isinstance(reply, exceptions.ResponseError) and "no such key" in str(reply):
                return StreamState()
            unless_error(reply)
        facts: dict[bytes, Any] = dict(zip(reply[::2], reply[1::2], strict=True))
        return StreamState(
            exists=True,
            length=facts[b"length"],
            entries_added=facts.get(b"entries-added"),
            first=_entry_id(facts[b"first-entry"]),
            last=_entry_id(facts[b"last-entry"]),
            last_generated=EntryId.parse(facts[b"last-generated-id"]) or START,
        )


def _only_stream(reply: Any) -> list[Entry]:
    return reply[0][1] if reply else []


def _entry_id(entry: Entry | None) -> EntryId | None:
    return EntryId.parse(entry[0]) if entry else None
