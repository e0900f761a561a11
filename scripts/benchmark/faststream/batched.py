"""FastStream, a batch a call, as fast as we could make it: one load, one `executemany`, one pipeline per batch."""

from __future__ import annotations

import asyncio
from typing import Any

from scripts.benchmark.faststream.running import main
from scripts.benchmark.task import LOBBY_STREAM, SUMMARIES, TRANSITIONS

MAX_RECORDS = 1000
LOAD = "SELECT game_id, status, current_turn FROM runtime_records WHERE game_id = ANY ($1)"
WRITE = """
UPDATE runtime_records SET status = $3, engine_health = $4, updated_at = now() WHERE game_id = $1 AND status = $2
"""


class Handler:
    """Coalesces a batch to one change per game; the broker acknowledges the batch after `handle`."""

    def __init__(self, rows: Any, lobby: Any, entries: int) -> None:
        self.rows, self.lobby, self.left = rows, lobby, entries
        self.last_emitted: dict[str, str] = {}
        self.done = asyncio.Event()

    async def handle(self, events: list[dict[str, str]]) -> None:
        """Handle one batch."""
        events = events[: self.left]
        if not events:
            await asyncio.Event().wait()  # the task is done: the process is about to end
        rows = await self.rows.fetch(LOAD, list({event["game_id"] for event in events}))
        before = {game_id: (status, turn) for game_id, status, turn in rows}
        after: dict[str, tuple[str, str]] = {}
        snapshots = self.lobby.pipeline(transaction=False)
        for event in events:
            self.apply(event, before, after, snapshots)
        changes = [(game_id, before[game_id][0], *change) for game_id, change in sorted(after.items())]
        await self.rows.executemany(WRITE, changes)
        await snapshots.execute()
        self.left -= len(events)
        if self.left == 0:
            self.done.set()

    def apply(
        self,
        event: dict[str, str],
        before: dict[str, tuple[str, int]],
        after: dict[str, tuple[str, str]],
        snapshots: Any,
    ) -> None:
        """Apply one event to the batch's picture of the rows."""
        game_id, summary = event["game_id"], SUMMARIES[event["event_type"]]
        if game_id not in before:
            return
        was, turn = before[game_id]
        status, _ = after.get(game_id, (was, ""))
        expected, target = TRANSITIONS.get(event["event_type"], (None, status))
        swapped = status == expected
        if swapped:
            status = target
        after[game_id] = status, summary
        if swapped or self.last_emitted.get(game_id) != summary:
            self.last_emitted[game_id] = summary
            snapshot = {
                "event_type": "runtime_snapshot_update",
                "game_id": game_id,
                "current_turn": turn,
                "runtime_status": status,
                "engine_health_summary": summary,
                "player_turn_stats": "[]",
                "occurred_at_ms": event["occurred_at_ms"],
            }
            snapshots.xadd(LOBBY_STREAM, snapshot)


if __name__ == "__main__":
    main(Handler, lambda job: {"batch": True, "max_records": job.batch_size or MAX_RECORDS})
