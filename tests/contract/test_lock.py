"""The leader lock on a real server: one session holds it, for as long as it lives (design 3.4)."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from gmhealth.adapters.postgres import connection as postgres_connection
from gmhealth.adapters.postgres.rows import PostgresRows
from gmhealth.core.plan import NetEffect
from gmhealth.core.rules import Summary
from gmhealth.errors import Unavailable
from gmhealth.worker.ports import Lock
from tests.eventually import eventually
from tests.games import add_game, game

SINCE = "2020-01-01 00:00:00+00"
TERMINATE = """
SELECT pid, pg_terminate_backend(pid, 10000) FROM pg_stat_activity
WHERE application_name = 'the writer' AND datname = current_database()
"""


def test_the_first_takes_it_and_keeps_it_and_the_second_is_refused(
    rows: PostgresRows, other_rows: PostgresRows
) -> None:
    assert rows.lock() is Lock.TAKEN
    assert rows.lock() is Lock.HELD
    assert other_rows.lock() is Lock.REFUSED
    assert other_rows.lock() is Lock.REFUSED
    assert rows.lock() is Lock.HELD


def test_it_goes_with_the_session(rows: PostgresRows, other_rows: PostgresRows) -> None:
    rows.lock()
    rows.close()
    eventually(lambda: other_rows.lock() is Lock.TAKEN)  # a backend ends a moment after its client
    assert rows.lock() is Lock.REFUSED


@pytest.mark.parametrize("name", ["offset", "gamemaster:stream_offsets:health_events", "a", "b", "c", "d"])
def test_whoever_holds_it_is_named(postgres_dsn: str, pg: psycopg.Connection, name: str) -> None:
    """The names hash to keys of both signs."""
    rows = PostgresRows(
        lambda: postgres_connection.connect(postgres_dsn, password=None, application_name="gmhealth on host-1"),
        table="runtime_records",
        lock_name=name,
    )
    assert rows.holder() is None
    rows.lock()
    backend = pg.execute(
        "SELECT pid FROM pg_stat_activity"
        " WHERE application_name = 'gmhealth on host-1' AND datname = current_database()"
    ).fetchone()
    assert backend is not None
    holder = rows.holder()
    assert holder is not None
    assert holder.startswith(f"gmhealth on host-1, PostgreSQL session {backend[0]}, since 20")
    rows.close()


def test_another_offsets_lock_is_another_lock(rows: PostgresRows, pg: psycopg.Connection) -> None:
    pg.execute("SELECT pg_advisory_lock(hashtextextended('another offset', 0))")
    pg.execute("SELECT pg_advisory_lock(1, 2)")
    assert rows.holder() is None
    assert rows.lock() is Lock.TAKEN


USES: list[Callable[[PostgresRows], object]] = [
    lambda rows: rows.find(["game-a"]),
    lambda rows: rows.changed_since(SINCE, None, 10),
    lambda rows: rows.now(),
    lambda rows: rows.write([NetEffect("game-a", "engine_unreachable", Summary.OOM)], SINCE),
    lambda rows: rows.keep_alive(),
]


@pytest.mark.parametrize("use", USES, ids=["find", "changed_since", "now", "write", "keep_alive"])
def test_who_loses_the_session_can_do_nothing_and_must_take_the_lock_again(
    rows: PostgresRows, pg: psycopg.Connection, use: Callable[[PostgresRows], object]
) -> None:
    add_game(pg)
    rows.lock()
    pg.execute(TERMINATE)
    with pytest.raises(Unavailable, match="terminating connection"):
        use(rows)
    assert game(pg) == ("running", 7, "")
    assert rows.lock() is Lock.TAKEN


def test_who_was_standing_by_takes_over_from_a_session_that_died(
    rows: PostgresRows, other_rows: PostgresRows, pg: psycopg.Connection
) -> None:
    add_game(pg)
    rows.lock()
    assert other_rows.lock() is Lock.REFUSED
    pg.execute(TERMINATE)
    assert other_rows.lock() is Lock.TAKEN
    with pytest.raises(Unavailable):
        rows.write([NetEffect("game-a", "engine_unreachable", Summary.OOM)], SINCE)
    assert rows.lock() is Lock.REFUSED
    assert game(pg).status == "running"


def test_a_session_has_the_limits_by_which_the_server_ends_it(postgres_dsn: str) -> None:
    with postgres_connection.connect(postgres_dsn, password=None, application_name="test") as connection:
        limits = [
            connection.execute(f"SHOW {name}".encode()).fetchone()
            for name in (
                "idle_session_timeout",
                "idle_in_transaction_session_timeout",
                "lock_timeout",
                "statement_timeout",
            )
        ]
    assert limits == [("3s",), ("3s",), ("1s",), ("5s",)]


def test_keeping_alive_opens_no_session() -> None:
    def refuse() -> postgres_connection.Connection:
        raise AssertionError("connected")

    PostgresRows(refuse, table="runtime_records", lock_name="offset").keep_alive()


def test_its_own_former_session_is_no_other_leader(rows: PostgresRows) -> None:
    """A backend that waits for a synchronous standby outlives its client, and no time-out ends it."""
    assert rows.lock() is Lock.TAKEN
    former, rows._connection, rows._locked = rows._connection, None, False
    assert former is not None
    assert rows.lock() is Lock.REFUSED
    with pytest.raises(Unavailable, match=r"own former session \d+.*synchronous standby"):
        rows.holder()
    former.close()
    eventually(lambda: rows.lock() is Lock.TAKEN)
