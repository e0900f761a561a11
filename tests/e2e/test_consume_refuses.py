"""What `gmhealth consume` won't work with: one clear message, an exit code, and nothing touched (design 3.3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import psycopg
import pytest
import redis

from gmhealth.embedded import embedded_servers
from tests import incident
from tests.canary import CANARY
from tests.e2e.conftest import Gmhealth
from tests.eventually import eventually
from tests.games import Game, add_game, game, games
from tests.streams import append, everything

OFFSET = "gamemaster:stream_offsets:health_events"
Over = Callable[[Mapping[str, str]], Gmhealth]


@pytest.fixture
def event(redis_client: redis.Redis, pg: psycopg.Connection) -> None:
    add_game(pg)
    append(redis_client, incident.STREAM, {"game_id": "game-a", "event_type": "container_oom", "occurred_at_ms": "1"})


def test_without_servers_it_says_so_in_two_lines(over: Over) -> None:
    done = over({}).run("consume")
    assert done.returncode == 2
    assert done.stdout == ""
    what, hint = done.stderr.splitlines()
    assert what.startswith("gmhealth: GMHEALTH_REDIS_URL and GMHEALTH_POSTGRES_DSN are not set")
    assert hint.startswith("  → ")
    assert "--embedded" in hint


@pytest.mark.parametrize(
    ("settings", "arguments", "words"),
    [
        ({"GMHEALTH_REDIS_URL": f"redis://:{CANARY}@r"}, ["--embedded", "consume"], "both the embedded servers"),
        ({"GMHEALTH_BATCHSIZE": "1"}, ["consume"], "there is no setting GMHEALTH_BATCHSIZE"),
        ({"GMHEALTH_BATCH_SIZE": "0"}, ["consume"], "GMHEALTH_BATCH_SIZE cannot be used"),
        ({}, ["consume", "--batch-size", "0"], "--batch-size cannot be used"),
        (
            {"GMHEALTH_REDIS_URL": f"redis://:{CANARY}/x@r", "GMHEALTH_POSTGRES_DSN": "host=p"},
            ["consume"],
            "the Redis URL",
        ),
        ({"GMHEALTH_REDIS_URL": "redis://r", "GMHEALTH_POSTGRES_DSN": CANARY}, ["consume"], "the PostgreSQL DSN"),
    ],
)
def test_settings_that_cannot_be_used_are_a_matter_of_usage(
    over: Over, redis_url: str, settings: dict[str, str], arguments: list[str], words: str
) -> None:
    if settings.get("GMHEALTH_POSTGRES_DSN") == CANARY:
        settings = {**settings, "GMHEALTH_REDIS_URL": redis_url}
    done = over(settings).run(*arguments)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert CANARY not in done.stderr


@pytest.mark.parametrize("garbage", [b"", b"latest", b"\xff\x1b[2J"])
def test_an_offset_that_is_no_entry_id_is_left_to_a_person(
    gmhealth: Gmhealth, redis_client: redis.Redis, pg: psycopg.Connection, event: None, garbage: bytes
) -> None:
    redis_client.set(OFFSET, garbage)
    before = everything(redis_client)
    done = gmhealth.run("consume")
    assert done.returncode == 1
    assert f"the offset {OFFSET} holds" in done.stderr
    assert "which is no entry ID; nothing was changed" in done.stderr
    assert "gmhealth offset reset --to-id" in done.stderr
    assert "\x1b" not in done.stderr
    assert everything(redis_client) == before
    assert game(pg) == Game("running", 7, "")


@pytest.mark.parametrize(
    "key",
    [
        OFFSET,
        "gamemaster:commit_mark:health_events",
        "gamemaster:dead_letters:health_events",
        "gamemaster:journal:health_events",
        "gm:lobby_events",
    ],
)
@pytest.mark.parametrize("once", [[], ["--once"]])
def test_a_key_that_holds_something_else_is_left_as_it_is(
    gmhealth: Gmhealth, redis_client: redis.Redis, event: None, key: str, once: list[str]
) -> None:
    redis_client.delete(key)
    redis_client.rpush(key, "somebody else's")
    before = everything(redis_client)
    done = gmhealth.run("consume", *once)
    assert done.returncode == 1
    assert "WRONGTYPE" in done.stderr
    assert "the names of the streams" in done.stderr
    assert "Traceback" not in done.stderr
    assert everything(redis_client) == before


def test_a_table_that_is_not_there_is_no_reason_to_try_again(
    gmhealth: Gmhealth, redis_client: redis.Redis, pg: psycopg.Connection, event: None
) -> None:
    pg.execute("DROP TABLE runtime_records")
    done = gmhealth.run("consume")
    assert done.returncode == 1
    what, hint = done.stderr.splitlines()[-2:]
    assert (
        what == "gmhealth: PostgreSQL refused to load changed rows:"
        ' relation "runtime_records" does not exist (SQLSTATE 42P01)'
    )
    assert "GMHEALTH_POSTGRES_TABLE" in hint
    assert redis_client.exists(OFFSET) == 0


def test_passwords_are_in_no_line_of_a_run(
    over: Over, redis_client: redis.Redis, redis_url: str, postgres_dsn: str, event: None
) -> None:
    settings = {
        "GMHEALTH_REDIS_URL": redis_url.replace("unix://", f"unix://default:{CANARY}@"),
        "GMHEALTH_POSTGRES_DSN": f"{postgres_dsn} password={CANARY}",
        "GMHEALTH_LOG_LEVEL": "debug",
    }
    done = over(settings).run("consume", "--once")
    assert done.returncode == 0, done.stderr
    assert redis_client.exists(OFFSET)
    assert "consuming" in done.stderr
    assert CANARY not in done.stderr + done.stdout


def test_another_postgresql_cluster_is_refused_and_no_snapshot_is_sent(
    over: Over, redis_client: redis.Redis, redis_url: str, postgres_dsn: str, pg: psycopg.Connection, tmp_path: Path
) -> None:
    """As an old primary that nobody fenced, or a wrong DSN: each has a leader lock of its own."""
    add_game(pg)
    append(redis_client, incident.STREAM, {"game_id": "game-a", "event_type": "container_oom", "occurred_at_ms": "1"})
    ours = over({"GMHEALTH_REDIS_URL": redis_url, "GMHEALTH_POSTGRES_DSN": postgres_dsn}).start("consume")
    eventually(lambda: redis_client.xlen("gm:lobby_events") == 1)
    with embedded_servers(tmp_path / "another") as another, psycopg.connect(another.postgres_dsn) as other_pg:
        before = [game(other_pg, name) for name in games(other_pg)]
        environ = {"GMHEALTH_REDIS_URL": redis_url, "GMHEALTH_POSTGRES_DSN": another.postgres_dsn}
        for arguments in (["consume"], ["replay", "--from-id", "0-1", "--yes"]):
            done = over(environ).run(*arguments)
            assert done.returncode == 1, done.stderr
            assert "this PostgreSQL is another cluster than that of the last commit; nothing was changed" in done.stderr
        assert [game(other_pg, name) for name in games(other_pg)] == before
    append(redis_client, incident.STREAM, {"game_id": "game-a", "event_type": "probe_failed", "occurred_at_ms": "2"})
    eventually(lambda: redis_client.xlen("gm:lobby_events") == 2)
    assert ours.stop() == 0
    assert redis_client.xlen("gm:lobby_events") == 2
