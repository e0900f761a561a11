"""The least that can be called a consumer: read an event, update its row, append a snapshot. For latency only.

No offset, no compare-and-swap, no debounce: what it does per event nobody can leave out.
"""

from __future__ import annotations

from typing import Any

import psycopg
import redis

from scripts.benchmark.task import HEALTH_STREAM, LOBBY_STREAM, task
from scripts.oracle import SUMMARIES

UPDATE = """
UPDATE runtime_records SET engine_health = %s, updated_at = now() WHERE game_id = %s RETURNING status, current_turn
"""


def run(server: Any, rows: psycopg.Connection[Any]) -> None:
    """Handle events that arrive from now on, for ever."""
    after = "$"
    while True:
        reply = server.xread({HEALTH_STREAM: after}, count=1, block=1000)
        if not reply:
            continue
        ((after, event),) = reply[0][1]
        game_id, summary = event["game_id"], SUMMARIES[event["event_type"]]
        row = rows.execute(UPDATE, (summary, game_id)).fetchone()
        if row is not None:
            snapshot = {
                "event_type": "runtime_snapshot_update",
                "game_id": game_id,
                "current_turn": row[1],
                "runtime_status": row[0],
                "engine_health_summary": summary,
                "player_turn_stats": "[]",
                "occurred_at_ms": event["occurred_at_ms"],
            }
            server.xadd(LOBBY_STREAM, snapshot)


def main() -> None:
    """Do the task."""
    job = task()
    rows = psycopg.connect(job.postgres_dsn, autocommit=True)
    rows.prepare_threshold = 0
    run(redis.Redis.from_url(job.redis_url, protocol=2, decode_responses=True), rows)


if __name__ == "__main__":
    main()
