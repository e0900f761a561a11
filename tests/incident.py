"""The recorded incident of `data/`: a stream to consume, what must come of it, and how to look at what did."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
import redis

from tests.games import add_game
from tests.streams import entries

DATA = Path(__file__).with_name("data")
STREAM = "runtime:health_events"
LOBBY = "gm:lobby_events"


def expected() -> dict[str, Any]:
    """The rows, the snapshots in order and the number of invalid entries after the last entry."""
    found: dict[str, Any] = json.loads((DATA / "incident.expected.json").read_text(encoding="utf-8"))
    return found


def record(client: redis.Redis, pg: psycopg.Connection) -> None:
    """Put the rows and the 3,000 entries where a consumer finds them."""
    rows: Mapping[str, Any] = json.loads((DATA / "incident.rows.json").read_text(encoding="utf-8"))
    for game_id, row in rows.items():
        add_game(pg, game_id, status=row["status"], turn=row["current_turn"], health=row["engine_health"])
    pipeline = client.pipeline(transaction=False)
    for line in (DATA / "incident.events.ndjson").read_text(encoding="utf-8").splitlines():
        pipeline.execute_command("XADD", STREAM, "*", *(part for pair in json.loads(line).items() for part in pair))
    pipeline.execute()


def snapshots(client: redis.Redis) -> list[dict[str, str]]:
    """What Game Lobby was sent, in order."""
    return [fields for _, fields in entries(client, LOBBY)]
