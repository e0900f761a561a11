"""The saved offset, and the one atomic, fenced step that moves it (I5, I6, D6)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha1
from pathlib import Path
from typing import Any, Final

import redis
from msgspec.msgpack import encode
from redis import exceptions

from gmhealth.adapters.redis.breaks import pack_break, unpack_break
from gmhealth.adapters.redis.connection import round_trip, translated, unless_error
from gmhealth.core import commit_record, pause
from gmhealth.core.continuity import Break
from gmhealth.core.entry import START, Entry, EntryId
from gmhealth.core.outage import Outage, pack_outage, unpack_outage
from gmhealth.core.snapshot import Snapshot
from gmhealth.errors import Unusable
from gmhealth.worker.ports import Commit, Dropped, Meanwhile, Saved, nothing

COMMIT_SCRIPT: Final = Path(__file__).with_name("commit.lua").read_text(encoding="utf-8")
COMMIT_SHA: Final = sha1(COMMIT_SCRIPT.encode(), usedforsecurity=False).hexdigest()

SHOWN_FOR_S: Final = 30
"""More than a try and the wait after it can take."""
LONGEST_DETAIL: Final = 1000

RECENT_MS: Final = 60_000
"""Before the newest write: what a failover may have lost is no older (design 3.4)."""
PAGE: Final = 100
"""Entries of writes to ask for at once."""


@dataclass(frozen=True, slots=True)
class LedgerKeys:
    """The keys of a consumer (design 2.6); `source` is the stream that it reads."""

    source: str
    offset: str
    record: str
    snapshots: str
    dead_letters: str
    dropped: str
    journal: str
    writes: str
    last_break: str
    waiting: str
    pause: str


class RedisLedger:
    """Loads the offset and commits batches; holds about `dead_letter_limit` dead letters."""

    def __init__(self, client: redis.Redis, keys: LedgerKeys, *, dead_letter_limit: int) -> None:
        self._client, self._keys, self._limit = client, keys, dead_letter_limit

    def saved(self) -> Saved:
        """Load offset, commit record and pause in one round trip."""
        return self._saved(any_offset=False)

    def found(self) -> Saved:
        """The same, but takes an offset that is no entry ID as well, for those who set it right."""
        return self._saved(any_offset=True)

    def _saved(self, *, any_offset: bool) -> Saved:
        with translated(self._client, f"load the offset {self._keys.offset}"):
            replies = [unless_error(reply) for reply in round_trip(self._client, *ask_saved(self._keys))]
            return read_saved(replies, self._keys, any_offset=any_offset)

    def commit(self, commit: Commit, meanwhile: Meanwhile = nothing) -> Saved | Dropped | None:
        """Run `commit.lua`."""
        keys = self._keys
        names = (
            *(keys.offset, keys.record, keys.snapshots, keys.dead_letters, keys.dropped),
            *(keys.journal, keys.writes, keys.source),
        )
        arguments = _arguments(commit, self._limit)
        with translated(self._client, f"commit to {keys.snapshots} and {keys.offset}"):
            reply = self._run(meanwhile, len(names), *names, *arguments)
        if reply is None or isinstance(reply, int):
            return Dropped(reply) if reply else None
        return read_saved([*(value or None for value in reply), None], keys)

    def recent_writes(self) -> Sequence[bytes]:
        """Load the entries of the last minute before the newest one, in pages."""
        with translated(self._client, f"read the stream {self._keys.writes}"):
            newest = self._ask("XREVRANGE", self._keys.writes, "+", "-", "COUNT", 1)
            return list(self._writes_since(_ms(newest[0]) - RECENT_MS)) if newest else []

    def _writes_since(self, ms: int) -> Iterator[bytes]:
        start = str(max(0, ms))
        while True:
            entries = self._ask("XRANGE", self._keys.writes, start, "+", "COUNT", PAGE)
            yield from (fields[1] for _, fields in entries)
            if len(entries) < PAGE:
                return
            start = f"({entries[-1][0].decode()}"

    def note(self, broken: Break, at_ms: int) -> None:
        """Set one key; what it holds of this very break stays, with the time it was first seen."""
        last = self.last_break()
        if last is None or last[0] != broken:
            with translated(self._client, f"note a break of the stream in {self._keys.last_break}"):
                self._ask("SET", self._keys.last_break, pack_break(broken, at_ms))

    def last_break(self) -> tuple[Break, int] | None:
        """The last break that was noted and when that was (Unix ms); None for none, or where it cannot be read."""
        with translated(self._client, f"look at {self._keys.last_break}"):
            return unpack_break(self._ask("GET", self._keys.last_break))

    def show_outage(self, outage: Outage | None) -> None:
        """Set a key that is gone by itself when the worker no longer says so."""
        name = str(self._client.connection_pool.connection_kwargs.get("client_name"))
        value, seconds = "", 1
        if outage is not None:
            value, seconds = f"{pack_outage(name, outage, 200)}\n{outage.detail[:LONGEST_DETAIL]}", SHOWN_FOR_S
        with translated(self._client, f"set {self._keys.waiting}"):
            self._ask("SET", self._keys.waiting, value.encode(errors="backslashreplace"), "EX", seconds)

    def outage(self) -> tuple[str, Outage | None]:
        """Who said last that it waits, and for what."""
        with translated(self._client, f"look at {self._keys.waiting}"):
            found = self._ask("GET", self._keys.waiting)
        return unpack_outage((found or b"").decode(errors="replace"), "PostgreSQL")

    def _ask(self, *command: bytes | str | int) -> Any:
        return unless_error(*round_trip(self._client, command))

    def _run(self, meanwhile: Meanwhile, *arguments: bytes | str | int) -> Any:
        """Run the script by its hash; a server that does not know it gets it whole, which repeats nothing."""
        (reply,) = round_trip(self._client, ("EVALSHA", COMMIT_SHA, *arguments), meanwhile=meanwhile)
        if isinstance(reply, exceptions.NoScriptError):
            (reply,) = round_trip(self._client, ("EVAL", COMMIT_SCRIPT, *arguments))
        return unless_error(reply)


def ask_saved(keys: LedgerKeys) -> tuple[tuple[str, str], ...]:
    """The commands whose replies `read_saved` reads."""
    # Not MGET, which takes a key of another type for a missing one.
    return ("GET", keys.offset), ("GET", keys.record), ("GET", keys.pause)


def read_saved(values: Sequence[bytes | None], keys: LedgerKeys, *, any_offset: bool = False) -> Saved:
    """Read what the three keys hold; `Unusable` if the offset is no entry ID, unless any will do."""
    offset, packed = values[0], values[1] or b""
    record = commit_record.unpack(packed)
    held = None if values[2] is None else pause.unpack(values[2])
    if offset is None:
        left = record.entry_id if record is not None else None
        return Saved(None, packed, left or START, record, held)
    entry_id = EntryId.parse(offset)
    if entry_id is None and not any_offset:
        raise Unusable(
            f"the offset {keys.offset} holds {offset[:40]!r}, which is no entry ID; nothing was changed",
            hint="set it with `gmhealth offset reset --to-id ID`, or with `--to-start` to begin at the beginning",
        )
    text = offset.decode(errors="surrogateescape")
    return Saved(text, packed, entry_id or START, record, held)


def _ms(entry: Entry) -> int:
    return (EntryId.parse(entry[0]) or START).ms


def _arguments(commit: Commit, dead_letter_limit: int) -> tuple[bytes | str | int, ...]:
    """What `commit.lua` takes after its keys."""
    fence, record = commit.fence, commit.record
    return (
        "yes" if commit.fences_offset else "",
        fence.text or "",
        fence.packed,
        "" if commit.offset is None else str(commit.offset),
        record.pack(),
        dead_letter_limit,
        _packed(commit.snapshots),
        record.n,
        record.worker,
        commit.job,
        record.written_at,
        commit.journal,
        commit.writes,
        commit.games,
        *[each.packed for each in commit.dead_letters],
    )


def _packed(snapshots: Iterable[Snapshot]) -> bytes:
    """What differs from snapshot to snapshot, each as it is to be appended."""
    values: list[str] = []
    for each in snapshots:
        values += (
            each.game_id,
            str(each.current_turn),
            each.runtime_status,
            each.engine_health_summary,
            str(each.occurred_at_ms),
        )
    return encode(values)
