"""The decision record, literally: one event at a time, one round trip per step."""

from __future__ import annotations

import time
from typing import Any

import psycopg
import redis

from scripts.benchmark.task import HEALTH_STREAM, LOBBY_STREAM, OFFSET_KEY, report, task
from scripts.oracle import SUMMARIES, TRANSITIONS

SWAP = """
UPDATE runtime_records SET status = %s, engine_health = %s, updated_at = now() WHERE game_id = %s AND status = %s
"""
UPDATE_HEALTH = "UPDATE runtime_records SET engine_health = %s, updated_at = now() WHERE game_id = %s"
GET = "SELECT status, current_turn, engine_health FROM runtime_records WHERE game_id = %s"


class Loop:
    """The worker of the record; its methods are the record's decisions."""

    def __init__(self, redis_url: str, postgres_dsn: str) -> None:
        self.redis: Any = redis.Redis.from_url(redis_url, protocol=2, decode_responses=True)
        self.rows = psycopg.connect(postgres_dsn, autocommit=True)
        self.rows.prepare_threshold = 0
        self.last_emitted: dict[str, str] = {}

    def run(self, until: str | None) -> None:
        """Consume entries one by one (D6)."""
        offset = self.redis.get(OFFSET_KEY) or "0-0"
        while offset != until:
            for _, entries in self.redis.xread({HEALTH_STREAM: offset}, count=100, block=1000):
                for entry_id, fields in entries:
                    self.handle(fields)
                    self.redis.set(OFFSET_KEY, entry_id)
                    offset = entry_id
                    if offset == until:
                        return

    def handle(self, event: dict[str, str]) -> None:
        """Handle one event (D1, D2, D4)."""
        game_id, summary = event["game_id"], SUMMARIES[event["event_type"]]
        swapped = self.update_status(event, summary)
        if not swapped:
            self.rows.execute(UPDATE_HEALTH, (summary, game_id))
        if swapped or self.last_emitted.get(game_id) != summary:
            self.publish(event)

    def update_status(self, event: dict[str, str], summary: str) -> bool:
        """Compare and swap the status, if the event asks for it."""
        transition = TRANSITIONS.get(event["event_type"])
        if transition is None:
            return False
        expected, target = transition
        return self.rows.execute(SWAP, (target, summary, event["game_id"], expected)).rowcount == 1

    def publish(self, event: dict[str, str]) -> None:
        """Send a snapshot of the row as it is after the mutation (D5)."""
        row = self.rows.execute(GET, (event["game_id"],)).fetchone()
        if row is None:
            return
        status, current_turn, summary = row
        snapshot = {
            "event_type": "runtime_snapshot_update",
            "game_id": event["game_id"],
            "current_turn": current_turn,
            "runtime_status": status,
            "engine_health_summary": summary,
            "player_turn_stats": "[]",
            "occurred_at_ms": event["occurred_at_ms"],
        }
        self.redis.xadd(LOBBY_STREAM, snapshot)
        self.last_emitted[event["game_id"]] = summary


def main() -> None:
    """Do the task."""
    job = task()
    began = time.perf_counter()
    Loop(job.redis_url, job.postgres_dsn).run(job.until)
    report(began)


if __name__ == "__main__":
    main()
