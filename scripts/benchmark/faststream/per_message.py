"""FastStream, one message a call: the handler that its documentation leads to, over a consumer group."""

from __future__ import annotations

import asyncio
from typing import Any

from scripts.benchmark.faststream.running import main
from scripts.benchmark.task import LOBBY_STREAM
from scripts.oracle import SUMMARIES, TRANSITIONS

SWAP = """
UPDATE runtime_records SET status = $1, engine_health = $2, updated_at = now() WHERE game_id = $3 AND status = $4
"""
UPDATE_HEALTH = "UPDATE runtime_records SET engine_health = $1, updated_at = now() WHERE game_id = $2"
GET = "SELECT status, current_turn, engine_health FROM runtime_records WHERE game_id = $1"


class Handler:
    """The same steps as the loop's; the broker acknowledges each message after `handle`."""

    def __init__(self, rows: Any, lobby: Any, entries: int) -> None:
        self.rows, self.lobby, self.left = rows, lobby, entries
        self.last_emitted: dict[str, str] = {}
        self.done = asyncio.Event()

    async def handle(self, event: dict[str, str]) -> None:
        """Handle one event."""
        if self.done.is_set():
            await asyncio.Event().wait()  # the task is done: the process is about to end
        game_id, summary = event["game_id"], SUMMARIES[event["event_type"]]
        swapped = await self.swap(event, summary)
        if not swapped:
            await self.rows.execute(UPDATE_HEALTH, summary, game_id)
        if swapped or self.last_emitted.get(game_id) != summary:
            await self.publish(event)
        self.left -= 1
        if self.left == 0:
            self.done.set()

    async def swap(self, event: dict[str, str], summary: str) -> bool:
        """Compare and swap the status, if the event asks for it."""
        if event["event_type"] not in TRANSITIONS:
            return False
        expected, target = TRANSITIONS[event["event_type"]]
        result = await self.rows.execute(SWAP, target, summary, event["game_id"], expected)
        return bool(result == "UPDATE 1")

    async def publish(self, event: dict[str, str]) -> None:
        """Send a snapshot of the row as it is."""
        row = await self.rows.fetchrow(GET, event["game_id"])
        if row is None:
            return
        snapshot = {
            "event_type": "runtime_snapshot_update",
            "game_id": event["game_id"],
            "current_turn": row["current_turn"],
            "runtime_status": row["status"],
            "engine_health_summary": row["engine_health"],
            "player_turn_stats": "[]",
            "occurred_at_ms": event["occurred_at_ms"],
        }
        await self.lobby.xadd(LOBBY_STREAM, snapshot)  # not broker.publish: that wraps what Lobby wants plain
        self.last_emitted[event["game_id"]] = row["engine_health"]


if __name__ == "__main__":
    main(Handler, lambda _: {"max_records": 100})
