"""Silence is noticed: a stream that lost entries, was recreated or is gone is said so, once (I9)."""

from __future__ import annotations

from itertools import chain

import psycopg
import pytest
import redis

from tests import incident
from tests.e2e.conftest import Daemon, Gmhealth
from tests.e2e.rounds import come_round
from tests.eventually import eventually
from tests.games import Game, add_game, game
from tests.streams import append, text

OFFSET = "gamemaster:stream_offsets:health_events"
TRIMMED = "entries were removed from the stream before they were read"
BEHIND = "the stream ends before the offset: it was recreated or failed over; reading it from its start"
GONE = "the stream is gone; waiting for another"


@pytest.fixture(autouse=True)
def _a_game(pg: psycopg.Connection) -> None:
    add_game(pg)


def event(kind: str) -> dict[str, str]:
    return {"game_id": "game-a", "event_type": kind, "occurred_at_ms": "1"}


def add(client: redis.Redis, *ids: str, kind: str = "probe_failed") -> None:
    for entry_id in ids:
        append(client, incident.STREAM, event(kind), entry_id)


def consumed(client: redis.Redis, entry_id: str) -> None:
    eventually(lambda: text(client, OFFSET) == entry_id)


def said_once(consume: Daemon, text: str) -> str:
    (line,) = [line for line in consume.said.splitlines() if text in line]
    assert " error " in line
    return line


def test_entries_trimmed_while_it_was_down(
    gmhealth: Gmhealth, redis_client: redis.Redis, pg: psycopg.Connection, entries_counted: bool
) -> None:
    add(redis_client, "1-0", "2-0")
    assert gmhealth.run("consume", "--once").returncode == 0
    add(redis_client, "3-0", "4-0", "5-0", "6-0", kind="container_oom")
    redis_client.xtrim(incident.STREAM, maxlen=1, approximate=False)
    consume = gmhealth.start("consume")
    consumed(redis_client, "6-0")
    come_round(redis_client, consume)
    lost = "lost=3 exact=True" if entries_counted else "lost=None exact=False"
    assert f"offset=2-0 first_left=6-0 {lost}" in said_once(consume, TRIMMED)
    assert game(pg) == Game("engine_unreachable", 7, "oom")


def test_entries_trimmed_under_its_eyes(gmhealth: Gmhealth, redis_client: redis.Redis, entries_counted: bool) -> None:
    add(redis_client, "1-0", "2-0")
    consume = gmhealth.start("consume")
    consumed(redis_client, "2-0")
    come_round(redis_client, consume)
    with redis_client.pipeline(transaction=True) as pipeline:
        pipeline.execute_command("XADD", incident.STREAM, "3-0", "game_id", "game-a")
        pipeline.execute_command("XADD", incident.STREAM, "4-0", "game_id", "game-a")
        pipeline.xtrim(incident.STREAM, maxlen=0, approximate=False)
        pipeline.execute()
    consume.says(TRIMMED)
    come_round(redis_client, consume)
    lost = "lost=2 exact=True" if entries_counted else "lost=None exact=False"
    assert f"offset=2-0 first_left=None {lost}" in said_once(consume, TRIMMED)


@pytest.mark.since_redis_7
def test_entries_trimmed_after_they_were_read_are_no_loss(gmhealth: Gmhealth, redis_client: redis.Redis) -> None:
    add(redis_client, "1-0", "2-0")
    consume = gmhealth.start("consume")
    consumed(redis_client, "2-0")
    come_round(redis_client, consume)
    redis_client.xtrim(incident.STREAM, maxlen=0, approximate=False)
    add(redis_client, "3-0")
    consumed(redis_client, "3-0")
    come_round(redis_client, consume)
    assert " error " not in consume.said


def test_a_stream_recreated_by_a_clock_that_is_behind(
    gmhealth: Gmhealth, redis_client: redis.Redis, pg: psycopg.Connection
) -> None:
    add(redis_client, "50-0", kind="container_oom")
    consume = gmhealth.start("consume")
    consumed(redis_client, "50-0")
    with redis_client.pipeline(transaction=True) as pipeline:
        pipeline.delete(incident.STREAM)
        for entry_id, kind in (("7-0", "probe_recovered"), ("8-0", "probe_failed")):
            pipeline.execute_command("XADD", incident.STREAM, entry_id, *chain.from_iterable(event(kind).items()))
        pipeline.execute()
    consumed(redis_client, "8-0")
    come_round(redis_client, consume)
    assert "offset=50-0 last_generated=8-0" in said_once(consume, BEHIND)
    assert game(pg) == Game("running", 7, "probe_failed")


def test_a_stream_that_is_deleted_and_comes_back(
    gmhealth: Gmhealth, redis_client: redis.Redis, pg: psycopg.Connection
) -> None:
    add(redis_client, "5-0", kind="container_oom")
    assert gmhealth.run("consume", "--once").returncode == 0
    redis_client.delete(incident.STREAM)
    consume = gmhealth.start("consume")
    consume.says(GONE)
    come_round(redis_client, consume)
    add(redis_client, "9-0", kind="probe_recovered")
    consumed(redis_client, "9-0")
    come_round(redis_client, consume)
    assert "offset=5-0" in said_once(consume, GONE)
    assert game(pg).status == "running"
    redis_client.delete(incident.STREAM)  # which it has read to its end
    come_round(redis_client, consume)
    assert consume.said.count(GONE) == 1


def test_a_stream_that_never_was_is_nothing_to_worry_about(gmhealth: Gmhealth, redis_client: redis.Redis) -> None:
    consume = gmhealth.start("consume")
    consume.says("consuming  offset=0-0")
    come_round(redis_client, consume)
    assert consume.stop() == 0
    assert " error " not in consume.said
