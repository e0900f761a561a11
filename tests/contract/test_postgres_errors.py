"""PostgreSQL's errors that may pass, provoked on a real server (design 3.3)."""

from __future__ import annotations

import gc
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from psycopg import errors

from gmhealth.adapters.postgres import connection as postgres_connection
from gmhealth.adapters.postgres.errors import translate
from gmhealth.core.plan import NetEffect, Row, Written
from gmhealth.core.rules import Summary
from gmhealth.errors import Unavailable
from gmhealth.worker.ports import Lock
from tests.contract.conftest import RowsWith
from tests.eventually import eventually
from tests.games import add_game, game

SINCE = "2020-01-01 00:00:00+00"
SWAP = [NetEffect("game-a", "engine_unreachable", Summary.OOM)]
SWAPPED = {"game-a": Written("running", Row("engine_unreachable", 7, "oom"))}
WAITING = """
SELECT pid FROM pg_stat_activity
WHERE application_name = 'test' AND datname = current_database() AND wait_event_type = 'Lock'
"""


@pytest.fixture
def locked(postgres_dsn: str, pg: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """A row, and a session that has it locked."""
    add_game(pg)
    with psycopg.connect(postgres_dsn) as other:
        other.execute("SELECT 1 FROM runtime_records FOR UPDATE")
        yield other


def test_a_row_that_stays_locked_may_be_let_go(rows_with: RowsWith, locked: psycopg.Connection) -> None:
    rows = rows_with("SET lock_timeout = '20ms'")
    with pytest.raises(Unavailable, match="PostgreSQL could not write rows: game-a is locked by"):
        rows.write(SWAP, SINCE)
    locked.rollback()
    assert rows.write(SWAP, SINCE).rows == SWAPPED


def test_a_statement_that_takes_too_long_may_be_faster_later(rows_with: RowsWith, locked: psycopg.Connection) -> None:
    with pytest.raises(Unavailable, match="due to statement timeout"):
        rows_with("SET statement_timeout = '20ms'").write(SWAP, SINCE)


@pytest.mark.parametrize(
    ("function", "words"),
    [("pg_cancel_backend", "due to user request"), ("pg_terminate_backend", "due to administrator command")],
)
def test_a_statement_that_is_broken_off_can_be_made_again(
    rows_with: RowsWith, pg: psycopg.Connection, locked: psycopg.Connection, function: str, words: str
) -> None:
    rows = rows_with("SET lock_timeout = 0; SET statement_timeout = 0")
    with ThreadPoolExecutor() as pool:
        written = pool.submit(rows.write, SWAP, SINCE)
        (pid,) = eventually(lambda: pg.execute(WAITING).fetchone() or ())
        pg.execute(f"SELECT {function}(%s)".encode(), [pid])
        with pytest.raises(Unavailable, match=words):
            written.result()
    locked.rollback()
    assert game(pg).status == "running"
    assert rows.lock() is Lock.TAKEN
    assert rows.write(SWAP, SINCE).rows == SWAPPED


def test_a_server_that_became_a_standby_may_be_the_primary_again(rows_with: RowsWith, pg: psycopg.Connection) -> None:
    add_game(pg)
    with pytest.raises(Unavailable, match="read-only transaction"):
        rows_with("SET default_transaction_read_only = on").write(SWAP, SINCE)


def test_a_server_that_takes_no_writes_is_not_connected_to(rows_with: RowsWith, pg: psycopg.Connection) -> None:
    pg.execute(f"ALTER DATABASE {pg.info.dbname} SET default_transaction_read_only = on".encode())
    with pytest.raises(Unavailable, match=r"PostgreSQL could not connect: .*read-only"):
        rows_with().find(["game-a"])


def test_a_session_that_was_ended_as_idle_can_be_opened_again(rows_with: RowsWith) -> None:
    rows = rows_with("SET idle_session_timeout = '1ms'")
    with pytest.raises(Unavailable, match=r"idle-session timeout|closed"):
        eventually(lambda: rows.find([]))  # an empty table: until it raises


def test_a_column_of_another_type_is_read_by_a_new_session(rows_with: RowsWith, pg: psycopg.Connection) -> None:
    """As Game Master may migrate it under us: what was prepared in a session does for the old type alone."""
    add_game(pg)
    rows = rows_with()
    assert rows.lock() is Lock.TAKEN
    for _ in range(10):
        rows.find(["game-a"])
    pg.execute("ALTER TABLE runtime_records ALTER current_turn TYPE bigint")
    with pytest.raises(Unavailable, match="cached plan must not change result type"):
        rows.find(["game-a"])
    assert rows.find(["game-a"])[0].row == Row("running", 7, "")
    assert rows.lock() is Lock.TAKEN
    assert rows.write(SWAP, SINCE).rows == SWAPPED


def test_nobody_listening(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="PostgreSQL could not connect"):
        postgres_connection.connect(f"host={tmp_path} dbname=x", password=None, application_name="test")


def test_a_server_that_never_lets_us_in_costs_no_socket_for_each_try() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        dsn = f"host=127.0.0.1 port={silent.getsockname()[1]} dbname=x connect_timeout=2 sslmode=disable"
        gc.disable()  # nobody else is to clean up
        try:
            with pytest.raises(Unavailable, match="timeout expired"):
                postgres_connection.connect(dsn, password=None, application_name="test")
            client, _ = silent.accept()
            with client:
                client.settimeout(10)
                while client.recv(4096):
                    pass  # what it asked, and then the end
        finally:
            gc.enable()


def test_a_server_that_keeps_silent_is_given_up(
    rows_with: RowsWith, monkeypatch: pytest.MonkeyPatch, locked: psycopg.Connection
) -> None:
    rows = rows_with("SET lock_timeout = 0; SET statement_timeout = 0")
    assert rows.lock() is Lock.TAKEN
    monkeypatch.setattr(postgres_connection, "ANSWER_S", 0.05)
    with pytest.raises(Unavailable, match=r"PostgreSQL could not write rows: no answer for 0.05 seconds"):
        rows.write(SWAP, SINCE)
    monkeypatch.undo()
    locked.rollback()
    eventually(lambda: rows.lock() is Lock.TAKEN)  # a new session: the old one is closed


@pytest.mark.parametrize(
    "error",
    [
        errors.ConnectionException,
        errors.ConnectionFailure,
        errors.ReadOnlySqlTransaction,
        errors.IdleInTransactionSessionTimeout,
        errors.TransactionTimeout,
        errors.SerializationFailure,
        errors.DeadlockDetected,
        errors.TooManyConnections,
        errors.OutOfMemory,
        errors.DiskFull,
        errors.ObjectInUse,
        errors.LockNotAvailable,
        errors.QueryCanceled,
        errors.AdminShutdown,
        errors.CrashShutdown,
        errors.CannotConnectNow,
        errors.IdleSessionTimeout,
        errors.IoError,
        psycopg.OperationalError,
    ],
)
def test_what_may_pass(error: type[psycopg.Error]) -> None:
    assert isinstance(translate(error("it happened"), "try"), Unavailable)
