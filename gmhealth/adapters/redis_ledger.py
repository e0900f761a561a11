"""The saved offset, and the one atomic, fenced step that moves it (I5, I6, D6)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha1
from pathlib import Path
from typing import Any, Final

import redis
from msgspec.msgpack import encode
from redis import exceptions

from gmhealth.adapters.redis_breaks import pack_break, unpack_break
from gmhealth.adapters.redis_connection import round_trip, translated, unless_error
from gmhealth.core.continuity import Break
from gmhealth.core.entry import START, EntryId
from gmhealth.core.outage import Outage, heard, said
from gmhealth.core.snapshot import Snapshot
from gmhealth.core.tail import Tail
from gmhealth.errors import Unusable
from gmhealth.worker.ports import Commit, Dropped, Meanwhile, Saved, nothing

COMMIT_SCRIPT: Final = Path(__file__).with_name("commit.lua").read_text(encoding="utf-8")
COMMIT_SHA: Final = sha1(COMMIT_SCRIPT.encode(), usedforsecurity=False).hexdigest()

TOLD_FOR_S: Final = 30
"""More than a try and the wait after it can take."""


@dataclass(frozen=True, slots=True)
class LedgerKeys:
    """The keys of a consumer (design 2.6); `source` is the stream that it reads."""

    source: str
    offset: str
    mark: str
    snapshots: str
    dead_letters: str
    dropped: str
    last_break: str
    waiting: str


class RedisLedger:
    """Loads the offset and commits batches; holds about `dead_letter_limit` dead letters."""

    def __init__(self, client: redis.Redis, keys: LedgerKeys, *, dead_letter_limit: int) -> None:
        self._client, self._keys, self._limit = client, keys, dead_letter_limit

    def saved(self) -> Saved:
        """Load offset and mark in one round trip."""
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
        names = (keys.offset, keys.mark, keys.snapshots, keys.dead_letters, keys.dropped)
        head: tuple[bytes | str | int, ...] = (
            *_head(commit),
            self._limit,
            _tail_text(commit.tail),
            _packed(commit.snapshots),
        )
        letters = [each.packed for each in commit.dead_letters]
        with translated(self._client, f"commit to {keys.snapshots} and {keys.offset}"):
            reply = self._run(meanwhile, len(names), *names, *head, *letters)
        if reply is None or isinstance(reply, int):
            return Dropped(reply) if reply else None
        return read_saved([value or None for value in reply], keys)

    def note(self, broken: Break, at_ms: int) -> None:
        """Set one key; what it holds of this very break stays, with the time it was first seen."""
        last = self.last_break()
        if last is None or last[0] != broken:
            with translated(self._client, f"note a break of the stream in {self._keys.last_break}"):
                unless_error(*round_trip(self._client, ("SET", self._keys.last_break, pack_break(broken, at_ms))))

    def last_break(self) -> tuple[Break, int] | None:
        """The last break that was noted and when that was (Unix ms); None for none, or where it cannot be read."""
        with translated(self._client, f"look at {self._keys.last_break}"):
            return unpack_break(unless_error(*round_trip(self._client, ("GET", self._keys.last_break))))

    def tell(self, outage: Outage | None) -> None:
        """Set a key that is gone by itself when the worker no longer says so."""
        name = str(self._client.connection_pool.connection_kwargs.get("client_name"))
        value, seconds = ("", 1) if outage is None else (said(name, outage, 1000), TOLD_FOR_S)
        with translated(self._client, f"set {self._keys.waiting}"):
            unless_error(*round_trip(self._client, ("SET", self._keys.waiting, value, "EX", seconds)))

    def outage(self) -> tuple[str, Outage | None]:
        """Who said last that it waits, and for what."""
        with translated(self._client, f"look at {self._keys.waiting}"):
            told = unless_error(*round_trip(self._client, ("GET", self._keys.waiting)))
        return heard((told or b"").decode(errors="replace"), "PostgreSQL")

    def _run(self, meanwhile: Meanwhile, *arguments: bytes | str | int) -> Any:
        """Run the script by its hash; a server that does not know it gets it whole, which repeats nothing."""
        (reply,) = round_trip(self._client, ("EVALSHA", COMMIT_SHA, *arguments), meanwhile=meanwhile)
        if isinstance(reply, exceptions.NoScriptError):
            (reply,) = round_trip(self._client, ("EVAL", COMMIT_SCRIPT, *arguments))
        return unless_error(reply)


def ask_saved(keys: LedgerKeys) -> tuple[tuple[str, str], ...]:
    """The two commands whose replies `read_saved` reads."""
    # Not MGET, which takes a key of another type for a missing one.
    return ("GET", keys.offset), ("GET", keys.mark)


def read_saved(values: Sequence[bytes | None], keys: LedgerKeys, *, any_offset: bool = False) -> Saved:
    """Read what the offset's and the mark's key hold; `Unusable` if the offset is no entry ID, unless any will do."""
    offset, marked = values
    committed, space, rest = (marked or b"").decode(errors="replace").partition(" ")
    if not space:
        committed, rest = "", committed
    mark, _, tail = rest.partition("\t")
    if offset is None:
        return Saved(None, mark or None, committed=committed or None, tail=_read_tail(tail))
    entry_id = EntryId.parse(offset)
    if entry_id is None and not any_offset:
        raise Unusable(
            f"the offset {keys.offset} holds {offset[:40]!r}, which is no entry ID; nothing was changed",
            hint="set it with `gmhealth offset reset --to-id ID`, or delete the key to start from the beginning",
        )
    text = offset.decode(errors="surrogateescape")
    return Saved(text, mark or None, entry_id or START, committed or None, _read_tail(tail))


def _tail_text(tail: Tail | None) -> str:
    return f"{tail.timeline} {tail.since}" if tail is not None and tail.timeline else ""


def _read_tail(text: str) -> Tail | None:
    timeline, _, since = text.partition(" ")
    entry_id = EntryId.parse(since)
    return None if entry_id is None else Tail(timeline, entry_id)


def _head(commit: Commit) -> tuple[str, ...]:
    return (
        "marked" if commit.beside else "fenced",
        commit.fence.text or "",
        commit.fence.mark or "",
        "" if commit.offset is None else str(commit.offset),
        commit.mark,
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
