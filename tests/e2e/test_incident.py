"""The recorded incident through real servers and a real process: the same for every batch size (I2)."""

from __future__ import annotations

import psycopg
import pytest
import redis

from tests import incident
from tests.e2e.conftest import Gmhealth
from tests.games import games
from tests.streams import entries, text


@pytest.mark.parametrize("batch_size", [1, 2, 7, 100, 1000])
def test_rows_snapshots_and_dead_letters_are_as_recorded(
    gmhealth: Gmhealth, redis_client: redis.Redis, pg: psycopg.Connection, batch_size: int
) -> None:
    incident.record(redis_client, pg)
    consume = gmhealth.start("consume", "--once", "--batch-size", str(batch_size))
    assert consume.process.wait(60) == 0, consume.said

    expected = incident.expected()
    assert {game_id: row._asdict() for game_id, row in games(pg).items()} == expected["rows"]
    snapshots = incident.snapshots(redis_client)
    assert snapshots == expected["snapshots"]
    assert [list(fields) for fields in snapshots] == [list(fields) for fields in expected["snapshots"]]
    assert redis_client.xlen("gamemaster:dead_letters:health_events") == expected["invalid"]

    last = entries(redis_client, incident.STREAM)[-1][0]
    assert text(redis_client, "gamemaster:stream_offsets:health_events") == last
