"""A real replica is promoted without the primary's last commits: what they held is written again (design 3.4, I10)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import psycopg
import pytest
import redis

from tests import incident
from tests.e2e.conftest import Daemon, Gmhealth
from tests.eventually import eventually
from tests.failover.postgres_pair import Pair
from tests.games import add_game, games
from tests.streams import append, entries, text

Over = Callable[[Mapping[str, str]], Gmhealth]
OFFSET = "gamemaster:stream_offsets:health_events"
SAID = "rows had lost writes, as after a failover or crash of PostgreSQL; they were written again"
LINES = (incident.DATA / "incident.events.ndjson").read_text(encoding="utf-8").splitlines()
HALF = len(LINES) // 2


@pytest.fixture
def gmhealth(over: Over, redis_url: str, pair: Pair) -> Gmhealth:
    return over({"GMHEALTH_REDIS_URL": redis_url, "GMHEALTH_POSTGRES_DSN": pair.dsn})


@pytest.fixture(autouse=True)
def _rows(pair: Pair) -> None:
    rows = json.loads((incident.DATA / "incident.rows.json").read_text(encoding="utf-8"))
    with psycopg.connect(pair.primary.dsn, autocommit=True) as pg:
        for game_id, row in rows.items():
            add_game(pg, game_id, status=row["status"], turn=row["current_turn"], health=row["engine_health"])


def happen(client: redis.Redis, lines: list[str]) -> str:
    """Append a part of the incident; the ID of its last entry."""
    return [append(client, incident.STREAM, json.loads(line)) for line in lines][-1]


def consumed(client: redis.Redis, entry_id: str) -> None:
    eventually(lambda: text(client, OFFSET) == entry_id)


def lose_a_tail(pair: Pair, client: redis.Redis) -> str:
    """Consume the first half, which the replica has, and the second one, which it will never have."""
    consumed(client, happen(client, LINES[:HALF]))
    pair.wait_for_replica()
    pair.cut_replica()
    last = happen(client, LINES[HALF:])
    consumed(client, last)
    return last


def rows(pair: Pair) -> dict[str, dict[str, object]]:
    with psycopg.connect(pair.replica.dsn, autocommit=True) as pg:
        return {game_id: row._asdict() for game_id, row in games(pg).items()}


def versions(dsn: str) -> list[tuple[object, ...]]:
    """Every row as it stands."""
    with psycopg.connect(dsn, autocommit=True) as pg:
        return pg.execute("SELECT * FROM runtime_records ORDER BY game_id").fetchall()


def told_last(client: redis.Redis) -> dict[str, tuple[str, str]]:
    """What Lobby believes of each game."""
    told = [fields for _, fields in entries(client, incident.LOBBY)]
    return {one["game_id"]: (one["runtime_status"], one["engine_health_summary"]) for one in told}


def comes_to_what_it_was(pair: Pair, client: redis.Redis, last: str, daemon: Daemon) -> None:
    daemon.says(SAID)
    consumed(client, last)
    expected = incident.expected()["rows"]
    assert rows(pair) == expected
    assert daemon.said.count(SAID) == 1
    for game_id, told in told_last(client).items():
        assert told == (expected[game_id]["status"], expected[game_id]["engine_health"])


def test_the_consumer_goes_on_at_the_new_primary(gmhealth: Gmhealth, pair: Pair, redis_client: redis.Redis) -> None:
    consume = gmhealth.start("consume")
    last = lose_a_tail(pair, redis_client)
    assert rows(pair) != incident.expected()["rows"]
    pair.fail_over()
    comes_to_what_it_was(pair, redis_client, last, consume)


def test_a_standby_takes_over_on_the_new_primary(gmhealth: Gmhealth, pair: Pair, redis_client: redis.Redis) -> None:
    consume = gmhealth.start("consume")
    consume.says("consuming")
    standby = gmhealth.start("consume")
    standby.says("standing by")
    last = lose_a_tail(pair, redis_client)
    consume.process.kill()
    pair.fail_over()
    comes_to_what_it_was(pair, redis_client, last, standby)


def test_a_consumer_that_was_down_meanwhile_knows_it_too(
    gmhealth: Gmhealth, pair: Pair, redis_client: redis.Redis
) -> None:
    consume = gmhealth.start("consume")
    last = lose_a_tail(pair, redis_client)
    assert consume.stop() == 0
    pair.fail_over()
    comes_to_what_it_was(pair, redis_client, last, gmhealth.start("consume"))


def test_a_switchover_that_loses_nothing_changes_and_publishes_nothing(
    gmhealth: Gmhealth, pair: Pair, redis_client: redis.Redis
) -> None:
    consume = gmhealth.start("consume")
    consumed(redis_client, happen(redis_client, LINES[:HALF]))
    pair.wait_for_replica()
    before, published = versions(pair.primary.dsn), entries(redis_client, incident.LOBBY)
    pair.fail_over()
    consume.says("going on again")
    assert versions(pair.replica.dsn) == before
    assert entries(redis_client, incident.LOBBY) == published
    assert SAID not in consume.said
