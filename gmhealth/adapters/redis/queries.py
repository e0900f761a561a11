"""What the reading commands see in Redis; nothing here writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Final

import redis
from redis import exceptions

from gmhealth.adapters.redis.connection import round_trip, translated, unless_error
from gmhealth.adapters.redis.ledger import LedgerKeys
from gmhealth.core.batch_size import next_limit
from gmhealth.core.entry import Entry, EntryId

PAGE: Final = 1000
PAGE_BYTES: Final = 4 * 2**20
"""About how much of a stream is held at once, whatever the size of its entries."""
SOME: Final = 100
"""Entries of each stream that a wait ends with at most: who waited may have been stopped for hours."""
MAY_SCRIPT: Final = Path(__file__).with_name("may.lua").read_text(encoding="utf-8")


class RedisQueries:
    """Looks at any stream or key without changing it."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def _ask(self, what: str, *command: str | int) -> Any:
        with translated(self._client, what):
            return unless_error(*round_trip(self._client, command))

    def forward(self, stream: str, after: EntryId, last: EntryId | None = None, page: int = PAGE) -> Iterator[Entry]:
        """Read strictly after `after`, oldest first, up to `last` (None: the end), a page at a time."""
        end = "+" if last is None else str(last)
        limit = next_limit((), most_entries=page, most_bytes=PAGE_BYTES)
        while True:
            entries: list[Entry] = self._ask(
                f"read the stream {stream}", "XRANGE", stream, f"({after}", end, "COUNT", limit
            )
            yield from entries
            if len(entries) < limit:
                return
            after = EntryId.parse(entries[-1][0]) or after
            limit = next_limit(entries, most_entries=page, most_bytes=PAGE_BYTES)

    def backward(self, stream: str, limit: int, last: EntryId | None = None, page: int = PAGE) -> Iterator[Entry]:
        """Read newest first, from `last` (None: the end), at most `limit` entries, a page at a time."""
        start = "+" if last is None else str(last)
        most = next_limit((), most_entries=page, most_bytes=PAGE_BYTES)
        while limit > 0:
            count = min(most, limit)
            entries: list[Entry] = self._ask(
                f"read the stream {stream}", "XREVRANGE", stream, start, "-", "COUNT", count
            )
            yield from entries
            if len(entries) < count:
                return
            limit -= count
            most = next_limit(entries, most_entries=page, most_bytes=PAGE_BYTES)
            start = f"({entries[-1][0].decode()}"

    def count_after(self, stream: str, after: EntryId, bound: int) -> int:
        """Count the entries strictly after `after`, up to `bound` of them."""
        return sum(1 for _ in islice(self.forward(stream, after), bound))

    def wait_for(self, streams: Mapping[str, EntryId], block_ms: int) -> Mapping[str, list[Entry]]:
        """Wait up to `block_ms` for entries strictly after the given ID of each stream; of many there come `SOME`."""
        after = [str(at) for at in streams.values()]
        reply = self._ask("wait for entries", "XREAD", "COUNT", SOME, "BLOCK", block_ms, "STREAMS", *streams, *after)
        return {name.decode(): entries for name, entries in reply or ()}

    def length(self, stream: str) -> int:
        """The number of entries of a stream."""
        return int(self._ask(f"look at {stream}", "XLEN", stream))

    def kind(self, key: str) -> str:
        """The type of a key, `none` if there is no such key."""
        reply = self._ask(f"look at {key}", "TYPE", key)
        return reply.decode() if isinstance(reply, bytes) else str(reply)

    def refused(self, keys: LedgerKeys) -> list[str] | None:
        """What `consume` needs and this user may not do; None where the server cannot tell (before 7.0)."""
        names = [
            keys.source,
            keys.offset,
            keys.record,
            keys.snapshots,
            keys.dead_letters,
            keys.last_break,
            keys.waiting,
            keys.dropped,
            keys.journal,
            keys.writes,
            keys.pause,
        ]
        with translated(self._client, "ask for its permissions"):
            try:
                reply = self._client.eval(
                    MAY_SCRIPT, 0, *names
                )  # as KEYS, its user would have to be able to write each
            except exceptions.ResponseError as error:
                if "acl_check_cmd" in str(error):
                    return None
                raise
        return [each.decode() for each in reply]

    def now_ms(self) -> int:
        """The server's clock, in Unix milliseconds."""
        seconds, microseconds = self._ask("ask for the time", "TIME")
        return int(seconds) * 1000 + int(microseconds) // 1000

    def info(self, section: str) -> Mapping[str, Any]:
        """One section of INFO."""
        with translated(self._client, "ask for its state"):
            found: Mapping[str, Any] = self._client.info(section)
        return found
