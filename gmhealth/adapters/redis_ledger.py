"""The saved offset, and the one atomic, fenced step that moves it (I5, I6, D6)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

import redis
from redis.client import Pipeline

from gmhealth.adapters.redis_connection import translated
from gmhealth.core.entry import EntryId
from gmhealth.core.events import InvalidEntry
from gmhealth.core.netstring import pack
from gmhealth.core.snapshot import Snapshot
from gmhealth.errors import Unusable
from gmhealth.ports import Commit, Saved

COMMIT_SCRIPT: Final = files("gmhealth.adapters").joinpath("commit.lua").read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class LedgerKeys:
    """The keys a commit touches (design 2.6); `source` is the stream that dead letters came from."""

    source: str
    offset: str
    mark: str
    snapshots: str
    dead_letters: str


class RedisLedger:
    """Loads the offset and commits batches; holds about `dead_letter_limit` dead letters."""

    def __init__(self, client: redis.Redis, keys: LedgerKeys, *, dead_letter_limit: int) -> None:
        self._client, self._keys, self._limit = client, keys, dead_letter_limit
        self._script = client.register_script(COMMIT_SCRIPT)

    def saved(self) -> Saved:
        """Load offset and mark in one round trip."""
        with translated(self._client, f"load the offset {self._keys.offset}"):
            pipeline = self._client.pipeline(transaction=False)
            ask_saved(pipeline, self._keys)
            return read_saved(pipeline.execute(), self._keys)

    def commit(self, commit: Commit) -> Saved | None:
        """Run `commit.lua`."""
        keys = self._keys
        with translated(self._client, f"commit to {keys.snapshots} and {keys.offset}"):
            # EVALSHA; an unknown script is loaded and sent again, which is no repeated write: it did not run.
            obstacle = self._script(
                keys=[keys.offset, keys.mark, keys.snapshots, keys.dead_letters],
                args=[*_head(commit), self._limit, *self._dead_letters(commit), *_flat(commit.snapshots)],
            )
        return None if obstacle is None else read_saved([value or None for value in obstacle], keys)

    def _dead_letters(self, commit: Commit) -> Iterable[bytes | str | int]:
        yield len(commit.dead_letters)
        for invalid in commit.dead_letters:
            yield from _dead_letter(invalid, self._keys.source, commit.failed_at_ms)


def ask_saved(pipeline: Pipeline, keys: LedgerKeys) -> None:
    """Queue the two commands whose replies `read_saved` reads."""
    # Not MGET, which takes a key of another type for a missing one.
    pipeline.get(keys.offset)
    pipeline.get(keys.mark)


def read_saved(values: Sequence[bytes | None], keys: LedgerKeys) -> Saved:
    """Read what the offset's and the mark's key hold; `Unusable` if the offset is no entry ID."""
    offset, mark = values
    mark_text = None if mark is None else mark.decode(errors="replace")
    if offset is None:
        return Saved(None, mark_text)
    entry_id = EntryId.parse(offset)
    if entry_id is None:
        raise Unusable(
            f"the offset {keys.offset} holds {offset[:40]!r}, which is no entry ID; nothing was changed",
            hint="set it with `gmhealth offset reset --to-id ID`, or delete the key to start from the beginning",
        )
    return Saved(offset.decode(), mark_text, entry_id)


def _head(commit: Commit) -> tuple[str, ...]:
    fence = commit.fence
    return (
        "free" if fence is None else "fenced",
        (fence.text if fence else None) or "",
        "" if commit.offset is None else str(commit.offset),
        commit.mark,
    )


def _flat(snapshots: Sequence[Snapshot]) -> Iterable[str | int]:
    return (value for snapshot in snapshots for value in snapshot)


def _dead_letter(invalid: InvalidEntry, source: str, failed_at_ms: int) -> tuple[bytes | str | int, ...]:
    entry_id, fields = invalid.entry
    return source, entry_id, invalid.reason.value, failed_at_ms, pack(fields)
