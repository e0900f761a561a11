"""Entries of a size or shape that nobody expects, through the real servers: applied if valid, else kept whole (I7)."""

from __future__ import annotations

import psycopg
import pytest
import redis

from gmhealth.core.packed_letter import unpack
from tests import incident
from tests.e2e.conftest import Gmhealth
from tests.games import Game, add_game, game
from tests.streams import raw_entries, text

OFFSET = "gamemaster:stream_offsets:health_events"
DEAD = "gamemaster:dead_letters:health_events"
VALID = [b"game_id", b"game-a", b"event_type", b"container_oom", b"occurred_at_ms", b"1"]
MEGABYTE = bytes(range(256)) * 4096
THOUSAND = [part for number in range(997) for part in (b"name %d" % number, b"\xff" * (number % 50))]

GOOD = {
    "a megabyte of details": [*VALID, b"details", MEGABYTE],
    "a name of a megabyte": [*VALID, MEGABYTE, b""],
    "a thousand fields": [*THOUSAND, *VALID],
    "an empty name and an empty value": [b"", b"", *VALID],
}
BAD = {
    "a game ID of a megabyte": [b"game_id", MEGABYTE, *VALID[2:]],
    "a time of a megabyte": [*VALID[:5], b"1" * 2**20],
    "a megabyte without a field of ours": [b"details", MEGABYTE],
    "a thousand fields, none of them ours": THOUSAND,
    "a thousand fields of one name": [*VALID, *[b"again", b"x"] * 997],
    "a name twice": [*VALID, b"game_id", b"game-a"],
    "an empty name twice": [*VALID, b"", b"", b"", b""],
    "empty names and values only": [b"", b""],
    "an empty game ID": [b"game_id", b"", *VALID[2:]],
}


@pytest.mark.parametrize("fields", GOOD.values(), ids=GOOD)
def test_what_is_valid_is_applied(
    gmhealth: Gmhealth, redis_client: redis.Redis, pg: psycopg.Connection, fields: list[bytes]
) -> None:
    add_game(pg)
    entry_id = redis_client.execute_command("XADD", incident.STREAM, "*", *fields)
    done = gmhealth.run("consume", "--once")
    assert done.returncode == 0, done.stderr
    assert text(redis_client, OFFSET) == entry_id.decode()
    assert game(pg) == Game("engine_unreachable", 7, "oom")
    assert redis_client.exists(DEAD) == 0


def test_what_is_not_is_kept_whole_and_what_comes_between_is_applied(
    gmhealth: Gmhealth, redis_client: redis.Redis, pg: psycopg.Connection
) -> None:
    for number in range(len(BAD)):
        add_game(pg, f"game-{number}")
    for number, fields in enumerate(BAD.values()):
        redis_client.execute_command("XADD", incident.STREAM, "*", *fields)
        redis_client.execute_command("XADD", incident.STREAM, "*", b"game_id", b"game-%d" % number, *VALID[2:])
    done = gmhealth.run("consume", "--once")
    assert done.returncode == 0, done.stderr
    assert len(done.stderr) < 5000, "what is in them is no log line"
    dead = [unpack(letter[-1]) for _, letter in raw_entries(redis_client, DEAD)]
    assert [letter and letter.fields for letter in dead] == list(BAD.values())
    assert {game(pg, f"game-{number}").status for number in range(len(BAD))} == {"engine_unreachable"}
