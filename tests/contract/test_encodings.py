"""Databases and sessions of another encoding than UTF-8: no event is lost by it, and none stops the others (I7)."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
import redis
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

from gmhealth.adapters.postgres import connection as postgres_connection
from gmhealth.adapters.postgres.queries import PostgresQueries
from gmhealth.adapters.postgres.rows import PostgresRows
from gmhealth.core.plan import NetEffect, Row, Written
from gmhealth.core.rules import Summary
from gmhealth.embedded import prepare
from gmhealth.worker.ports import Lock
from tests import daemon
from tests.games import Game, add_game, game
from tests.permissions.least import as_postgres_login
from tests.servers import new_postgres_database
from tests.streams import append

SINCE = "2020-01-01 00:00:00+00"
ROW = Row("running", 7, "")
WRITTEN = Written("running", Row("engine_unreachable", 7, "oom"))


def rows_over(dsn: str) -> PostgresRows:
    return PostgresRows(
        lambda: postgres_connection.connect(dsn, password=None, application_name="the writer"),
        table="runtime_records",
        lock_name="offset",
    )


def found(rows: PostgresRows, game_ids: list[str]) -> dict[str, Row]:
    return {each.game_id: each.row for each in rows.find(game_ids)}


@pytest.fixture(params=["SQL_ASCII", "LATIN1"])
def encoded_dsn(
    request: pytest.FixtureRequest, shared_servers: tuple[str, str], postgres_admin: psycopg.Connection
) -> Iterator[str]:
    """A database of this encoding, as one is that was made under LC_ALL=C, with the table in it."""
    encoding = request.param
    with new_postgres_database(postgres_admin, shared_servers[1], template="template0", encoding=encoding) as dsn:
        prepare(dsn)
        yield dsn


@pytest.fixture
def encoded(encoded_dsn: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(encoded_dsn, autocommit=True, client_encoding="UTF8") as connection:
        yield connection


def test_a_row_is_found_and_written_whatever_the_database_is_encoded_in(
    encoded_dsn: str, encoded: psycopg.Connection
) -> None:
    add_game(encoded, "game-ü")
    rows = rows_over(encoded_dsn)
    assert found(rows, ["game-ü"]) == {"game-ü": ROW}
    assert rows.lock() is Lock.TAKEN
    assert str(rows.holder()).startswith("the writer, PostgreSQL session")
    effect = NetEffect("game-ü", "engine_unreachable", Summary.OOM)
    assert rows.write([effect], SINCE).rows == {"game-ü": WRITTEN}
    assert game(encoded, "game-ü") == Game("engine_unreachable", 7, "oom")
    rows.close()


def test_a_game_that_the_database_cannot_name_has_no_row_and_the_others_have_theirs(
    encoded_dsn: str, encoded: psycopg.Connection
) -> None:
    names = [f"game-{n}" for n in range(9)]
    for name in names:
        add_game(encoded, name)
    rows = rows_over(encoded_dsn)
    assert rows.lock() is Lock.TAKEN
    asked = ["日", *names[:5], "game-日", *names[5:], "本"]
    assert found(rows, asked) == dict.fromkeys(names, ROW)
    effects = [NetEffect(name, "engine_unreachable", Summary.OOM) for name in sorted(asked)]
    assert rows.write(effects, SINCE).rows == dict.fromkeys(names, WRITTEN)
    assert rows.lock() is Lock.HELD
    rows.close()


def test_a_person_who_asks_for_such_a_game_is_told_that_it_has_no_row(encoded_dsn: str) -> None:
    look = PostgresQueries(
        lambda: postgres_connection.connect(encoded_dsn, password=None, application_name="test"), "runtime_records"
    )
    assert look.game("game-日") is None


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
@pytest.mark.parametrize("place", ["the DSN", "its options", "the environment", "the role"])
def test_no_place_makes_a_session_of_another_encoding(
    postgres_dsn: str, pg: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, place: str, encoding: str
) -> None:
    add_game(pg, "日")
    role = f"encoded_{pg.info.dbname}"
    pg.execute(SQL("CREATE ROLE {} LOGIN SUPERUSER").format(Identifier(role)))
    dsn = as_postgres_login(postgres_dsn, role)
    if place == "the DSN":
        dsn = make_conninfo(dsn, client_encoding=encoding)
    elif place == "its options":
        dsn = make_conninfo(dsn, options=f"-c client_encoding={encoding}")
    elif place == "the environment":
        monkeypatch.setenv("PGCLIENTENCODING", encoding)
    else:
        pg.execute(SQL("ALTER ROLE {} SET client_encoding = {}").format(Identifier(role), encoding))
    rows = rows_over(dsn)
    try:
        assert found(rows, ["日"]) == {"日": ROW}
    finally:
        rows.close()
        pg.execute(SQL("DROP ROLE {}").format(Identifier(role)))


def test_no_event_of_such_a_game_stops_the_stream(
    encoded_dsn: str, encoded: psycopg.Connection, redis_url: str, redis_client: redis.Redis
) -> None:
    add_game(encoded, "game-a")
    for game_id in ("日", "game-a"):
        event = {"game_id": game_id, "event_type": "container_oom", "occurred_at_ms": "1"}
        append(redis_client, "runtime:health_events", event)
    environ = {"GMHEALTH_REDIS_URL": redis_url, "GMHEALTH_POSTGRES_DSN": encoded_dsn}
    done = daemon.run(["consume", "--once"], environ)
    assert done.returncode == 0, done.stderr
    assert game(encoded) == Game("engine_unreachable", 7, "oom")
    assert redis_client.xlen("gm:lobby_events") == 1
