"""Rows that others have locked: the error names the games, and who has them, on a real server (design 3.3)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import psycopg
import pytest
from psycopg.sql import SQL

from gmhealth.adapters.postgres.connection import Connection
from gmhealth.adapters.postgres.rows import PostgresRows
from gmhealth.core.plan import NetEffect
from gmhealth.core.rules import Summary
from gmhealth.errors import Unavailable
from tests.contract.conftest import RowsWith
from tests.contract.roles import READ, WRITE, as_role, limited_role
from tests.eventually import eventually
from tests.games import add_game

SINCE = "2020-01-01 00:00:00+00"
IMPATIENT = "SET lock_timeout = '20ms'"
XMAX = SQL("GRANT SELECT (xmax) ON runtime_records TO {}")

Holder = Callable[..., int]


@pytest.fixture
def holder(postgres_dsn: str) -> Iterator[Holder]:
    """Open a session that does some statements and leaves its transaction open; gives its process ID."""
    with ExitStack() as sessions:

        def holder(*statements: str, name: str = "psql") -> int:
            session = sessions.enter_context(psycopg.connect(postgres_dsn, application_name=name))
            for statement in statements:
                session.execute(statement.encode())
            return session.info.backend_pid

        yield holder


def refused(rows: PostgresRows, *games: str) -> str:
    """What a write that met a lock says of it."""
    with pytest.raises(Unavailable) as caught:
        rows.write([NetEffect(game, "engine_unreachable", Summary.OOM) for game in games or ["game-a"]], SINCE)
    assert (caught.value.server, caught.value.cause) == ("PostgreSQL", "LockNotAvailable")
    return str(caught.value).removeprefix("PostgreSQL could not write rows: ")


def session(pid: int, name: str = "psql") -> str:
    """A pattern of a session as it is named to those who may see what it does."""
    return rf"PostgreSQL session {pid} \({name}, user \w+, idle in transaction, transaction begun \d+ s ago\)"


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1 FROM runtime_records FOR UPDATE",
        "SELECT 1 FROM runtime_records FOR NO KEY UPDATE",
        "SELECT 1 FROM runtime_records FOR SHARE",
        "UPDATE runtime_records SET current_turn = 8",
        "DELETE FROM runtime_records",
    ],
)
def test_who_has_a_row_is_named(rows_with: RowsWith, pg: psycopg.Connection, holder: Holder, statement: str) -> None:
    add_game(pg)
    holder("SELECT 1 FROM runtime_records")  # reads alone, and is in nobody's way
    pid = holder(statement)
    expected = rf"game-a is locked by {session(pid)}, which SELECT pg_terminate_backend\({pid}\) ends"
    assert re.fullmatch(expected, refused(rows_with(IMPATIENT)))


def test_who_shares_a_row_is_named_and_not_who_only_refers_to_it(
    rows_with: RowsWith, pg: psycopg.Connection, holder: Holder
) -> None:
    add_game(pg)
    holder("SELECT 1 FROM runtime_records FOR KEY SHARE", name="a foreign key")
    pids = [holder("SELECT 1 FROM runtime_records FOR SHARE") for _ in range(2)]
    expected = f"game-a is locked by {session(pids[0])} and {session(pids[1])}, which SELECT .* ends"
    assert re.fullmatch(expected, refused(rows_with(IMPATIENT)))


def test_who_has_a_row_since_a_savepoint_that_is_no_more_is_named_as_one_of_those_who_may(
    rows_with: RowsWith, pg: psycopg.Connection, holder: Holder
) -> None:
    add_game(pg)
    holder("SELECT 1 FROM runtime_records", "CREATE TEMPORARY TABLE another ()")  # has a transaction ID, and no row
    pid = holder("SAVEPOINT a", "SELECT 1 FROM runtime_records FOR UPDATE", "RELEASE a")
    assert re.fullmatch(f"game-a is locked, perhaps by {session(pid)}", refused(rows_with(IMPATIENT)))


@pytest.mark.parametrize("mode", ["SHARE", "ACCESS EXCLUSIVE"])
def test_who_has_the_whole_table_is_named(
    rows_with: RowsWith, pg: psycopg.Connection, holder: Holder, mode: str
) -> None:
    add_game(pg)
    pid = holder(f"LOCK TABLE runtime_records IN {mode} MODE")
    expected = rf"the table is locked by {session(pid)}, which SELECT pg_terminate_backend\({pid}\) ends"
    assert re.fullmatch(expected, refused(rows_with(IMPATIENT)))


def test_who_waits_for_the_whole_table_is_named_but_not_to_be_ended(
    rows_with: RowsWith, pg: psycopg.Connection, postgres_dsn: str, holder: Holder
) -> None:
    """As a migration behind a transaction that somebody left open: all others wait behind it."""
    add_game(pg)
    holder("SELECT 1 FROM runtime_records")
    with psycopg.connect(postgres_dsn, application_name="migrate") as migration, ThreadPoolExecutor() as pool:
        pid = migration.info.backend_pid
        lock = pool.submit(migration.execute, "LOCK TABLE runtime_records")
        eventually(lambda: pg.execute(WAITS, [pid]).fetchone())
        text = refused(rows_with(IMPATIENT))
        migration.cancel()
        assert isinstance(lock.exception(), psycopg.errors.QueryCanceled)
    expected = rf"PostgreSQL session {pid} \(migrate, user \w+, active, .*\), and what that waits"
    assert re.fullmatch(f"the table is waited for by {expected} for must end first", text)


WAITS = "SELECT 1 FROM pg_locks WHERE pid = %s AND NOT granted"


def test_of_many_games_a_few_are_named_and_all_are_counted(
    rows_with: RowsWith, pg: psycopg.Connection, holder: Holder
) -> None:
    games = [f"game-{n:04}" for n in range(2000)]
    add_game(pg, games[0])
    pg.execute(COPIES, {"games": games})
    lock = "SELECT 1 FROM runtime_records WHERE game_id {} FOR UPDATE"
    one = holder(lock.format("BETWEEN 'game-0001' AND 'game-0002'"))
    other = holder(lock.format(">= 'game-0003'"), name="pgAdmin 4")
    quoted = session(other, "'pgAdmin 4'")
    expected = (
        f"game-0001, game-0002 are locked by {session(one)}, which SELECT .*;"
        f" game-0003 is locked by {quoted}, which SELECT .*; and so are 1,996 more"
    )
    assert re.fullmatch(expected, refused(rows_with(IMPATIENT), *games))


COPIES = """
INSERT INTO runtime_records
SELECT (jsonb_populate_record(r, jsonb_build_object('game_id', game))).*
  FROM runtime_records AS r, unnest(%(games)s::text[]) AS game
 WHERE game <> r.game_id
"""


def test_names_are_shown_as_text(rows_with: RowsWith, pg: psycopg.Connection, holder: Holder) -> None:
    game = "game-\x1b[31m\u202e" + "x" * 1000
    add_game(pg, game)
    holder("SELECT 1 FROM runtime_records FOR UPDATE", name="a\x1b[31m")
    text = refused(rows_with(IMPATIENT), game)
    assert "game-\\x1b[31m\\u202exxx" in text
    assert text.isprintable()
    assert len(text) < 400


def test_what_waits_for_something_else_says_so_as_before(
    rows_with: RowsWith, pg: psycopg.Connection, holder: Holder
) -> None:
    add_game(pg)
    pg.execute(OF_ANOTHER_TABLE)
    holder("LOCK TABLE other")
    assert refused(rows_with(IMPATIENT)) == "canceling statement due to lock timeout"


OF_ANOTHER_TABLE = """
CREATE TABLE other ();
CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM 1 FROM other; RETURN NEW; END $$;
CREATE TRIGGER look BEFORE UPDATE ON runtime_records FOR EACH ROW EXECUTE FUNCTION look();
"""


@pytest.mark.parametrize(
    ("grants", "see", "words"),
    [
        ([READ, WRITE, XMAX], "all that a role does", r" by PostgreSQL session {} \(psql, user \w+\), which .*"),
        ([READ, WRITE], "no xmax", r", perhaps by PostgreSQL session {} \(psql, user \w+\)"),
        ([READ, WRITE, XMAX], "no locks", ", holder unknown"),
    ],
)
def test_what_a_role_may_not_see_costs_its_name_and_no_more(
    pg: psycopg.Connection, postgres_dsn: str, holder: Holder, grants: list[SQL], see: str, words: str
) -> None:
    """State and time are those of another role's session."""
    add_game(pg)
    pid = holder("SELECT 1 FROM runtime_records FOR UPDATE")
    if see == "no locks":
        pg.execute("REVOKE SELECT ON pg_locks FROM PUBLIC")
    with limited_role(pg, *grants) as role:

        def connect() -> Connection:
            connection = as_role(postgres_dsn, role)
            connection.execute(IMPATIENT)
            return connection

        rows = PostgresRows(connect, table="runtime_records", lock_name="offset")
        assert re.fullmatch("game-a is locked" + words.format(pid), refused(rows))
