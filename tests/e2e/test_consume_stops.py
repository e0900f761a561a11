"""Ending `gmhealth consume`: after the batch in flight, with a true offset, and at once if asked twice (I1)."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import psycopg
import pytest
import redis

from tests import incident
from tests.e2e.conftest import Gmhealth
from tests.e2e.record import Record
from tests.eventually import eventually
from tests.games import add_game, game, games
from tests.streams import append, entries, text

OFFSET = "gamemaster:stream_offsets:health_events"
OOM = {"game_id": "game-a", "event_type": "container_oom", "occurred_at_ms": "1"}
SLOW = """
CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_sleep(0.005);
    RETURN NEW;
END $$;
CREATE TRIGGER dawdle BEFORE UPDATE ON runtime_records FOR EACH ROW EXECUTE FUNCTION dawdle()
"""
"""Makes a consumer so slow that a signal comes long before the end of the incident."""
WAITS = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@pytest.fixture
def locked(postgres_dsn: str, pg: psycopg.Connection, redis_client: redis.Redis) -> Iterator[psycopg.Connection]:
    """An event for a row that somebody else has locked."""
    add_game(pg)
    append(redis_client, incident.STREAM, OOM)
    with psycopg.connect(postgres_dsn) as other:
        other.execute("SELECT 1 FROM runtime_records FOR UPDATE")
        yield other


def until_sent(client: redis.Redis, snapshots: int) -> None:
    eventually(lambda: client.xlen(incident.LOBBY) > snapshots)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("batch_size", ["1", "7"])
def test_it_stops_between_batches_and_goes_on_from_there(
    gmhealth: Gmhealth, redis_client: redis.Redis, pg: psycopg.Connection, number: signal.Signals, batch_size: str
) -> None:
    incident.record(redis_client, pg)
    pg.execute(SLOW)
    record = Record(redis_client, pg)
    last = record.entries[-1][0]

    for after in (0, 200):
        consume = gmhealth.start("consume", "--batch-size", batch_size)
        until_sent(redis_client, after)
        assert consume.stop(number) == 0, consume.said
        offset = text(redis_client, OFFSET)
        assert offset is not None
        assert offset != last, "it came to the end before the signal: not what this test is about"
        record.up_to(offset)
        assert games(pg) == record.rows
        assert incident.snapshots(redis_client) == record.snapshots
        record.restart()

    pg.execute("DROP TRIGGER dawdle ON runtime_records")
    eventually(lambda: gmhealth.run("consume", "--once").returncode == 0)  # until the lock is free
    record.up_to(last)
    assert games(pg) == record.rows
    assert incident.snapshots(redis_client) == record.snapshots


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_an_idle_one_stops_too(gmhealth: Gmhealth, number: signal.Signals) -> None:
    consume = gmhealth.start("consume")
    consume.says("consuming  offset=0-0")
    assert consume.stop(number) == 0
    assert "Traceback" not in consume.said


@pytest.mark.usefixtures("locked")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_that_was_to_reach_the_end_says_that_it_did_not(
    gmhealth: Gmhealth, pg: psycopg.Connection, number: signal.Signals
) -> None:
    consume = gmhealth.start("consume", "--once")
    eventually(lambda: pg.execute(WAITS).fetchone())
    assert consume.stop(number) == 130
    assert consume.said.endswith("interrupted\n")


def test_a_signal_while_a_row_is_locked_leaves_the_batch_for_later(
    gmhealth: Gmhealth, redis_client: redis.Redis, pg: psycopg.Connection, locked: psycopg.Connection
) -> None:
    consume = gmhealth.start("consume")
    eventually(lambda: pg.execute(WAITS).fetchone())
    assert consume.stop() == 0
    assert redis_client.exists(OFFSET, incident.LOBBY) == 0
    locked.rollback()
    assert game(pg).status == "running"
    eventually(lambda: gmhealth.run("consume", "--once").returncode == 0)  # until the lock is free
    assert game(pg).status == "engine_unreachable"
    assert redis_client.xlen(incident.LOBBY) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(
    gmhealth: Gmhealth,
    redis_client: redis.Redis,
    pg: psycopg.Connection,
    locked: psycopg.Connection,
    number: signal.Signals,
) -> None:
    consume = gmhealth.start("consume")
    eventually(lambda: pg.execute(WAITS).fetchone())

    def signalled_to_its_end() -> bool:
        consume.process.send_signal(number)  # two in a row may come in as one
        return consume.process.poll() is not None

    eventually(signalled_to_its_end)
    assert consume.process.returncode == -number
    assert redis_client.exists(OFFSET, incident.LOBBY) == 0


def test_killed_in_the_middle_nothing_is_lost(
    gmhealth: Gmhealth, redis_client: redis.Redis, pg: psycopg.Connection
) -> None:
    incident.record(redis_client, pg)
    pg.execute(SLOW)
    last_id = entries(redis_client, incident.STREAM)[-1][0]
    for after in (0, 300):
        consume = gmhealth.start("consume", "--batch-size", "10")
        until_sent(redis_client, after)
        consume.stop(signal.SIGKILL)
        assert text(redis_client, OFFSET) != last_id, "it came to the end before it was killed"
    pg.execute("DROP TRIGGER dawdle ON runtime_records")
    eventually(lambda: gmhealth.run("consume", "--once").returncode == 0)  # until the lock is free

    expected = incident.expected()
    assert {game_id: row._asdict() for game_id, row in games(pg).items()} == expected["rows"]
    last = {snapshot["game_id"]: snapshot for snapshot in incident.snapshots(redis_client)}
    assert last == {snapshot["game_id"]: snapshot for snapshot in expected["snapshots"]}
