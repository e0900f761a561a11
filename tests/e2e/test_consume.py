"""`gmhealth consume` among others: another consumer, bad input, an operator who moves the offset (I6, I7)."""

from __future__ import annotations

import json
import signal
import time

import psycopg
import pytest
import redis

from gmhealth.core.packed_letter import Letter, unpack
from tests import incident
from tests.e2e.conftest import Gmhealth
from tests.eventually import eventually
from tests.games import Game, add_game, game
from tests.streams import append, raw_entries, text

OFFSET = "gamemaster:stream_offsets:health_events"
DEAD = "gamemaster:dead_letters:health_events"


def happens(client: redis.Redis, kind: str, game_id: str = "game-a") -> str:
    """Runtime Manager reports something; the entry's ID."""
    return append(client, incident.STREAM, {"game_id": game_id, "event_type": kind, "occurred_at_ms": "1"})


def consumed(client: redis.Redis, entry_id: str) -> None:
    eventually(lambda: text(client, OFFSET) == entry_id)


def test_an_event_becomes_a_row_and_a_snapshot(
    gmhealth: Gmhealth, redis_client: redis.Redis, pg: psycopg.Connection
) -> None:
    add_game(pg, turn=12)
    gmhealth.start("consume").says("consuming")
    for kind in ("probe_failed", "container_oom", "container_started", "probe_recovered"):
        consumed(redis_client, happens(redis_client, kind))
    assert game(pg) == Game("running", 12, "healthy")
    assert [(sent["runtime_status"], sent["engine_health_summary"]) for sent in incident.snapshots(redis_client)] == [
        ("running", "probe_failed"),
        ("engine_unreachable", "oom"),
        ("engine_unreachable", "healthy"),
        ("running", "healthy"),
    ]


def test_once_refuses_while_another_consumes_and_names_it(gmhealth: Gmhealth, redis_client: redis.Redis) -> None:
    first = gmhealth.start("consume")
    first.says("consuming  offset=")
    refused = gmhealth.run("consume", "--once")
    assert refused.returncode == 4
    assert "another gmhealth holds the leader lock: gmhealth consume " in refused.stderr
    assert f":{first.process.pid}, PostgreSQL session " in refused.stderr
    assert redis_client.exists(OFFSET) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_standby_takes_over_when_the_first_one_ends(
    gmhealth: Gmhealth, redis_client: redis.Redis, pg: psycopg.Connection, number: signal.Signals
) -> None:
    add_game(pg)
    first = gmhealth.start("consume")
    first.says("consuming  offset=")
    second = gmhealth.start("consume")
    second.says("standing by: another gmhealth consumes")
    assert f":{first.process.pid}, " in second.said

    before = happens(redis_client, "container_oom")
    consumed(redis_client, before)
    assert "consuming  offset=" not in second.said
    first.stop(number)
    second.says(f"consuming  offset={before}")
    consumed(redis_client, happens(redis_client, "probe_recovered"))
    assert game(pg).status == "running"
    assert redis_client.xlen("gm:lobby_events") == 2


BAD = {
    "game_id_missing": [b"event_type", b"probe_failed", b"occurred_at_ms", b"1"],
    "game_id_not_utf8": [b"game_id", b"game-\xff", b"event_type", b"probe_failed", b"occurred_at_ms", b"1"],
    "game_id_has_nul": [b"game_id", b"game\0a", b"event_type", b"probe_failed", b"occurred_at_ms", b"1"],
    "event_type_unknown": [b"game_id", b"game-a", b"event_type", b"\x1b]0;x\x07", b"occurred_at_ms", b"1"],
    "occurred_at_ms_out_of_range": [b"game_id", b"game-a", b"event_type", b"probe_failed", b"occurred_at_ms", b"-1"],
    "duplicate_field": [b"game_id", b"game-a", b"game_id", b"game-b", b"details", bytes(range(256)) * 100],
}


@pytest.mark.parametrize("batch_size", ["1", "100"])
def test_bad_entries_are_put_aside_whole_and_the_good_ones_between_them_count(
    gmhealth: Gmhealth, redis_client: redis.Redis, pg: psycopg.Connection, batch_size: str
) -> None:
    add_game(pg)
    ids = []
    for fields in BAD.values():
        ids.append(redis_client.execute_command("XADD", incident.STREAM, "*", *fields))
        happens(redis_client, "probe_failed")
        happens(redis_client, "container_started", "game-nobody-knows")
    last = happens(redis_client, "container_oom")
    before = time.time_ns() // 1_000_000

    done = gmhealth.run("consume", "--once", "--batch-size", batch_size)
    assert done.returncode == 0, done.stderr
    assert all(reason in done.stderr for reason in BAD)
    assert "\x1b" not in done.stderr
    assert text(redis_client, OFFSET) == last
    assert game(pg) == Game("engine_unreachable", 7, "oom")
    assert len(incident.snapshots(redis_client)) == 2

    dead = [unpack(letter[-1]) for _, letter in raw_entries(redis_client, DEAD)]
    assert dead == [Letter(source_id, *kept) for source_id, kept in zip(ids, BAD.items(), strict=True)]
    assert all(int(letter_id.split("-")[0]) >= before for letter_id, _ in raw_entries(redis_client, DEAD))


def test_dead_letters_over_their_limit_are_dropped_and_that_is_said(
    gmhealth: Gmhealth, redis_client: redis.Redis
) -> None:
    limited = Gmhealth({**gmhealth.environ, "GMHEALTH_DEAD_LETTER_LIMIT": "100"}, gmhealth.directory, gmhealth.stack)
    for number in range(1, 501):
        append(redis_client, incident.STREAM, {"no": "event"}, f"{number}-0")
    done = limited.run("consume", "--once")
    kept = redis_client.xlen(DEAD)
    assert f"old dead letters were dropped to keep to the limit  count={500 - kept}" in done.stderr
    assert json.loads(gmhealth.run("status", "-o", "json").stdout)["dead_letters_dropped"] == 500 - kept


def test_an_offset_that_is_set_back_is_followed_by_a_live_consumer(
    gmhealth: Gmhealth, redis_client: redis.Redis, pg: psycopg.Connection
) -> None:
    add_game(pg)
    consume = gmhealth.start("consume")
    consume.says("consuming")
    first = happens(redis_client, "container_oom")
    last = happens(redis_client, "probe_recovered")
    consumed(redis_client, last)
    redis_client.set(OFFSET, first)
    consume.says(f"following  old={last} new={first}")
    consumed(redis_client, last)
    assert game(pg) == Game("running", 7, "healthy")
    assert [sent["engine_health_summary"] for sent in incident.snapshots(redis_client)] == ["oom", "healthy", "healthy"]


def test_an_offset_that_is_set_forward_skips_what_is_before_it(
    gmhealth: Gmhealth, redis_client: redis.Redis, pg: psycopg.Connection
) -> None:
    add_game(pg)
    consume = gmhealth.start("consume")
    consume.says("consuming  offset=0-0")
    redis_client.set(OFFSET, "4102444800000-0")  # in the year 2100
    consume.says("following  old=0-0 new=4102444800000-0")
    for kind, entry_id in (("container_oom", "4102444800000-0"), ("probe_failed", "4102444800000-1")):
        fields = {"game_id": "game-a", "event_type": kind, "occurred_at_ms": "1"}
        append(redis_client, incident.STREAM, fields, entry_id)
    consumed(redis_client, "4102444800000-1")
    assert game(pg) == Game("running", 7, "probe_failed")


def test_log_lines_can_be_read_by_a_program(gmhealth: Gmhealth, redis_client: redis.Redis) -> None:
    redis_client.execute_command("XADD", incident.STREAM, "1-1", "game_id", "game-a")
    done = gmhealth.run("--log-format", "json", "--log-level", "debug", "consume", "--once")
    lines = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    (active,) = [line for line in lines if line["message"] == "consuming"]
    assert (active["level"], active["offset"]) == ("info", "0-0")
    (dead,) = [line for line in lines if line["message"] == "dead letter"]
    assert (dead["entry_id"], dead["reason"]) == ("1-1", "event_type_missing")
