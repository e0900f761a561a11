"""PostgreSQL's table entry by entry: each SQLSTATE that may pass, said by a real server over the product's session.

Those that a test cannot bring about (a full disk, a crash of the server's memory, a transaction time-out before
PostgreSQL 17) are raised in a trigger, with the same words on the wire.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import errors
from psycopg.sql import SQL, Identifier

from gmhealth.adapters.postgres import connection as postgres_connection
from gmhealth.adapters.postgres.errors import TRANSIENT_SQLSTATES, translated
from gmhealth.adapters.postgres.rows import PostgresRows
from gmhealth.core.plan import NetEffect
from gmhealth.core.rules import Summary
from gmhealth.errors import Unavailable, Unusable
from tests.contract.conftest import RowsWith
from tests.eventually import eventually
from tests.games import add_game
from tests.permissions.least import as_postgres_login

SINCE = "2020-01-01 00:00:00+00"
SWAP = [NetEffect("game-a", "engine_unreachable", Summary.OOM)]
KNOWN = sorted(
    {
        str(each.sqlstate)
        for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, psycopg.Error) and each.sqlstate
    }
)
"""Every SQLSTATE that psycopg has a class for."""
MAY_PASS = {state for state in KNOWN if state[:2] in ("08", "40", "53", "57", "58")} | {
    "25006", "25P03", "25P04", "55006", "55P03"
}  # fmt: skip
OF_A_ROW = {"22", "23", "44", "P0"}
NEVER_SENT = ("00", "01", "02")
"""Success and warnings: nothing raises them as errors."""
WAITS = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
RAISE = """
CREATE TABLE state AS SELECT ''::text AS code;
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = (SELECT code FROM state), MESSAGE = 'it happened';
END $$;
CREATE TRIGGER refuse BEFORE UPDATE ON runtime_records FOR EACH ROW EXECUTE FUNCTION refuse()
"""


def test_each_entry_of_the_table_is_one_that_postgresql_has() -> None:
    unused = [entry for entry in TRANSIENT_SQLSTATES if not any(state.startswith(entry) for state in KNOWN)]
    assert unused == []


def test_each_sqlstate_that_a_server_says_is_told_from_the_others(rows_with: RowsWith, pg: psycopg.Connection) -> None:
    add_game(pg)
    pg.execute(RAISE)
    rows = rows_with()
    for state in KNOWN:
        if not state.startswith(NEVER_SENT):
            pg.execute("UPDATE state SET code = %s", [state])
            assert (state, _kind(rows)) == (state, _expected(state))


def _kind(rows: PostgresRows) -> str:
    try:
        wrote = rows.write(SWAP, SINCE)
    except (Unavailable, Unusable) as error:
        return type(error).__name__
    assert wrote.refusal is not None
    assert wrote.refusal.reason == "it happened"
    return f"a refused row, {wrote.refusal.sqlstate}"


def _expected(state: str) -> str:
    if state[:2] in OF_A_ROW:
        return f"a refused row, {state}"
    return "Unavailable" if state in MAY_PASS else "Unusable"


@contextmanager
def session(dsn: str, *settings: str) -> Iterator[postgres_connection.Connection]:
    with postgres_connection.connect(dsn, password=None, application_name="test") as connection:
        for each in settings:
            connection.execute(each.encode())
        yield connection


def test_two_that_cannot_be_put_in_order(rows_with: RowsWith, postgres_dsn: str, pg: psycopg.Connection) -> None:
    add_game(pg)
    rows = rows_with("SET default_transaction_isolation = 'repeatable read'; SET lock_timeout = 0")
    with psycopg.connect(postgres_dsn) as other, ThreadPoolExecutor() as pool:
        other.execute("UPDATE runtime_records SET current_turn = 8")
        written = pool.submit(rows.write, SWAP, SINCE)
        eventually(lambda: pg.execute(WAITS).fetchone())
        other.commit()
        with pytest.raises(Unavailable, match="could not serialize access"):
            written.result()


def test_a_transaction_that_idled_too_long(postgres_dsn: str) -> None:
    with (
        pytest.raises(Unavailable, match=r"idle-in-transaction timeout|closed"),
        session(postgres_dsn, "SET idle_in_transaction_session_timeout = '1ms'", "BEGIN") as connection,
        translated("try"),
    ):
        eventually(lambda: connection.execute("SELECT 1") is None)  # until it raises


def test_a_transaction_that_took_too_long(postgres_dsn: str, pg: psycopg.Connection) -> None:
    if pg.info.server_version < 170000:
        pytest.skip("transaction_timeout is of PostgreSQL 17")
    with (
        pytest.raises(Unavailable, match=r"transaction timeout|closed"),
        session(postgres_dsn, "SET transaction_timeout = '1ms'") as connection,
        translated("try"),
    ):
        eventually(lambda: connection.execute("SELECT pg_sleep(0.01)") is None)


def test_a_limit_that_is_set(postgres_dsn: str) -> None:
    with (
        session(postgres_dsn, "SET temp_file_limit = '1kB'; SET work_mem = '64kB'") as connection,
        pytest.raises(Unavailable, match="temporary file size exceeds"),
        translated("try"),
    ):
        connection.execute("SELECT * FROM generate_series(1, 100000) AS n ORDER BY -n")


def test_an_object_in_use(postgres_dsn: str, pg: psycopg.Connection) -> None:
    with session(postgres_dsn) as connection, pytest.raises(Unavailable, match="cannot drop"), translated("try"):
        connection.execute(SQL("DROP DATABASE {}").format(Identifier(pg.info.dbname)))


def test_too_many_connections(postgres_dsn: str, pg: psycopg.Connection) -> None:
    role = f"crowd_{pg.info.dbname}"
    pg.execute(SQL("CREATE ROLE {} LOGIN CONNECTION LIMIT 0").format(Identifier(role)))
    try:
        with pytest.raises(Unavailable, match="too many connections for role"):
            postgres_connection.connect(as_postgres_login(postgres_dsn, role), password=None, application_name="test")
    finally:
        pg.execute(SQL("DROP ROLE {}").format(Identifier(role)))
