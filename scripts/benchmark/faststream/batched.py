"""FastStream, a batch a call: one load, one UPDATE and one pipeline of XADDs per batch.

`executemany` in place of `unnest` costs 25 µs more per event, nearly all of it PostgreSQL's. RESP2, a larger buffer for
the socket or asyncio's own loop make no difference that shows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from scripts.benchmark.faststream.running import main
from scripts.benchmark.task import LOBBY_STREAM, Task
from scripts.oracle import SUMMARIES, TRANSITIONS

MAX_RECORDS = 10_000
"""Swept from 200 to 20,000: each step up to here costs less, as more events share a row; then nothing is gained."""
LOAD = "SELECT game_id, status, current_turn FROM runtime_records WHERE game_id = ANY ($1)"
WRITE = """
UPDATE runtime_records AS r SET status = change.status, engine_health = change.summary, updated_at = now()
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS change (game_id, expected, status, summary)
WHERE r.game_id = change.game_id AND r.status = change.expected
"""

Snapshot: TypeAlias = tuple[str, int, str, str, str]
"""Game, turn, status, summary and time."""


class Event(NamedTuple):
    """What the handler needs of an entry."""

    game_id: str
    event_type: str
    occurred_at_ms: str


class Handler:
    """Coalesces a batch to one change per game; the broker acknowledges the batch after `handle`."""

    def __init__(self, rows: Any, lobby: Any, entries: int) -> None:
        self.rows, self.lobby, self.left = rows, lobby, entries
        self.last_emitted: dict[str, str] = {}
        self.done = asyncio.Event()

    async def handle(self, messages: list[Any]) -> None:
        """Handle one batch of messages, as FastStream's parser makes them."""
        await self.apply([Event(each["game_id"], each["event_type"], each["occurred_at_ms"]) for each in messages])

    async def apply(self, events: list[Event]) -> None:
        """Write and send what one batch asks for."""
        events = events[: self.left]
        if not events:
            await asyncio.Event().wait()  # the task is done: the process is about to end
        rows = await self.rows.fetch(LOAD, list({event.game_id for event in events}))
        before = {game_id: (status, turn) for game_id, status, turn in rows}
        after, snapshots = self.fold(events, before)
        changes = [(game_id, before[game_id][0], *change) for game_id, change in sorted(after.items())]
        if changes:
            await self.rows.execute(WRITE, *zip(*changes, strict=True))
        await self.send(snapshots)
        self.left -= len(events)
        if self.left == 0:
            self.done.set()

    async def send(self, snapshots: Sequence[Snapshot]) -> None:
        """Append the snapshots in one pipeline."""
        pipeline = self.lobby.pipeline(transaction=False)
        for game_id, turn, status, summary, occurred_at_ms in snapshots:
            fields = {
                "event_type": "runtime_snapshot_update",
                "game_id": game_id,
                "current_turn": turn,
                "runtime_status": status,
                "engine_health_summary": summary,
                "player_turn_stats": "[]",
                "occurred_at_ms": occurred_at_ms,
            }
            pipeline.xadd(LOBBY_STREAM, fields)
        await pipeline.execute()

    def fold(
        self, events: Sequence[Event], before: Mapping[str, tuple[str, int]]
    ) -> tuple[dict[str, tuple[str, str]], list[Snapshot]]:
        """Apply events to the batch's picture of the rows; gives each game's new status and summary, and snapshots."""
        after: dict[str, tuple[str, str]] = {}
        snapshots: list[Snapshot] = []
        for game_id, event_type, occurred_at_ms in events:
            if game_id not in before:
                continue
            was, turn = before[game_id]
            status, _ = after.get(game_id, (was, ""))
            expected, target = TRANSITIONS.get(event_type, (None, status))
            swapped = status == expected
            status, summary = target if swapped else status, SUMMARIES[event_type]
            after[game_id] = status, summary
            if swapped or self.last_emitted.get(game_id) != summary:
                self.last_emitted[game_id] = summary
                snapshots.append((game_id, turn, status, summary, occurred_at_ms))
        return after, snapshots


def options(job: Task) -> dict[str, Any]:
    """How much of the stream is one batch."""
    return {"batch": True, "max_records": job.batch_size or MAX_RECORDS}


if __name__ == "__main__":
    main(Handler, options)
