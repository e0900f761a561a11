"""Writing while Game Master writes: no status of its own is ever overwritten, under any interleaving (I4)."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from gmhealth.adapters.postgres import write_statement
from gmhealth.adapters.postgres.rows import PostgresRows
from gmhealth.core.plan import NetEffect, Row, Written
from gmhealth.core.rules import Summary
from gmhealth.errors import Unavailable
from tests.contract.conftest import RowsWith
from tests.eventually import eventually
from tests.games import Game, add_game, game

SINCE = "2020-01-01 00:00:00+00"
SWAPPED = Written("running", Row("engine_unreachable", 7, "oom"))
WAITS = """
SELECT 1 FROM pg_stat_activity
WHERE application_name = 'the writer' AND datname = current_database() AND wait_event_type = 'Lock'
"""


def swap(game_id: str = "game-a", target: str = "engine_unreachable") -> NetEffect:
    return NetEffect(game_id, target, Summary.OOM)


@pytest.fixture
def game_master(postgres_dsn: str) -> Iterator[psycopg.Connection]:
    """A session with a transaction open."""
    with psycopg.connect(postgres_dsn) as connection:
        yield connection


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as pool:
        yield pool


def until_it_waits(pg: psycopg.Connection, written: Future[Any]) -> None:
    eventually(lambda: written.done() or pg.execute(WAITS).fetchone())
    assert not written.done(), "the write did not wait for the row"


@pytest.fixture(params=["as this server does", "as those before 18 do"], autouse=True)
def _statement(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Either form of the statement; a server before 18 has but one."""
    if "before" in request.param:
        monkeypatch.setattr(write_statement, "RETURNS_OLD", 10**9)


@pytest.mark.parametrize(
    ("statement", "after"),
    [
        (
            "SET status = 'generation_in_progress'",
            Written("generation_in_progress", Row("generation_in_progress", 7, "oom")),
        ),
        ("SET status = 'stopped', current_turn = 8", Written("stopped", Row("stopped", 8, "oom"))),
        ("SET current_turn = 8", Written("running", Row("engine_unreachable", 8, "oom"))),
        ("SET engine_health = 'exited'", Written("running", Row("engine_unreachable", 7, "oom"))),
        ("SET skip_next_tick = true", Written("running", Row("engine_unreachable", 7, "oom"))),
    ],
)
@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
def test_a_row_that_changes_while_we_wait_for_it_is_written_as_it_then_is(
    rows: PostgresRows,
    pg: psycopg.Connection,
    game_master: psycopg.Connection,
    pool: ThreadPoolExecutor,
    statement: str,
    after: Written,
    isolation: str,
) -> None:
    add_game(pg)
    default = SQL("ALTER DATABASE {} SET default_transaction_isolation = {}")
    pg.execute(default.format(Identifier(pg.info.dbname), isolation))
    game_master.execute(f"UPDATE runtime_records {statement}".encode())
    written = pool.submit(rows.write, [swap()], SINCE)
    until_it_waits(pg, written)
    game_master.commit()
    assert written.result().rows == {"game-a": after}
    assert game(pg) == Game(after.row.status, after.row.current_turn, "oom")


def test_a_row_that_is_deleted_while_we_wait_for_it_is_left_out(
    rows: PostgresRows, pg: psycopg.Connection, game_master: psycopg.Connection, pool: ThreadPoolExecutor
) -> None:
    add_game(pg)
    game_master.execute("DELETE FROM runtime_records")
    written = pool.submit(rows.write, [swap()], SINCE)
    until_it_waits(pg, written)
    game_master.commit()
    assert written.result().rows == {}


def test_a_change_that_is_rolled_back_does_not_count(
    rows: PostgresRows, pg: psycopg.Connection, game_master: psycopg.Connection, pool: ThreadPoolExecutor
) -> None:
    add_game(pg)
    game_master.execute("UPDATE runtime_records SET status = 'stopped'")
    written = pool.submit(rows.write, [swap()], SINCE)
    until_it_waits(pg, written)
    game_master.rollback()
    assert written.result().rows == {"game-a": Written("running", Row("engine_unreachable", 7, "oom"))}
    assert game(pg).status == "engine_unreachable"


@pytest.mark.parametrize("planned_on", ["a large table", "a tiny table"])
def test_rows_are_locked_in_game_id_order(
    rows: PostgresRows,
    pg: psycopg.Connection,
    game_master: psycopg.Connection,
    pool: ThreadPoolExecutor,
    planned_on: str,
) -> None:
    names = [f"game-{n:04}" for n in range(1000)]
    add_game(pg, names[-1])
    if planned_on == "a tiny table":  # whose plan a session keeps for the grown one
        pg.execute("VACUUM ANALYZE runtime_records")
        for _ in range(10):
            rows.write([swap(name) for name in names], SINCE)
    for name in reversed(names[:-1]):  # on disk in another order
        add_game(pg, name)
    if planned_on == "a large table":  # to analyze it has each session plan anew
        pg.execute("ANALYZE runtime_records")
    game_master.execute("SELECT 1 FROM runtime_records WHERE game_id = 'game-0500' FOR UPDATE")
    written = pool.submit(rows.write, [swap(name) for name in names], SINCE)
    until_it_waits(pg, written)
    free = pg.execute("SELECT game_id FROM runtime_records ORDER BY game_id FOR UPDATE SKIP LOCKED").fetchall()
    game_master.rollback()
    written.result()
    assert [game_id for (game_id,) in free] == names[501:]


def test_a_deadlock_with_a_writer_in_another_order_costs_one_try(
    rows_with: RowsWith,
    pg: psycopg.Connection,
    game_master: psycopg.Connection,
    postgres_dsn: str,
    pool: ThreadPoolExecutor,
) -> None:
    names = [f"game-{x}" for x in "abc"]
    for name in names:
        add_game(pg, name)
    lock = "SELECT 1 FROM runtime_records WHERE game_id = %s FOR UPDATE"
    game_master.execute(lock, ["game-b"])
    rows = rows_with(
        "SET application_name = 'the writer'; SET deadlock_timeout = '1ms'; SET lock_timeout = '60s'",
        "SET statement_timeout = '60s'",
    )
    with psycopg.connect(postgres_dsn, application_name="the writer") as crossing:
        crossing.execute("SET deadlock_timeout = '1min'")
        crossing.execute(lock, ["game-c"])
        written = pool.submit(rows.write, [swap(name) for name in names], SINCE)
        until_it_waits(pg, written)
        crossed = pool.submit(crossing.execute, lock, ["game-a"])
        eventually(lambda: len(pg.execute(WAITS).fetchall()) == 2)
        game_master.rollback()  # so that it waits anew, for game-c, whose lock waits for its own of game-a
        with pytest.raises(Unavailable, match="PostgreSQL could not write rows: deadlock detected"):
            written.result()
        crossed.result()
    assert game(pg).status == "running"
    assert rows.write([swap(name) for name in names], SINCE).rows == dict.fromkeys(names, SWAPPED)


def test_no_lock_outlives_a_write(rows: PostgresRows, pg: psycopg.Connection) -> None:
    add_game(pg)
    rows.find(["game-a"])
    rows.changed_since("2010-01-01", None, 10)
    rows.write([swap()], SINCE)
    assert pg.execute("SELECT game_id FROM runtime_records FOR UPDATE NOWAIT").fetchall() == [("game-a",)]


def test_our_steps_start_from_the_expected_status_alone(
    rows: PostgresRows, pg: psycopg.Connection, postgres_dsn: str, pool: ThreadPoolExecutor
) -> None:
    """Both sides write as fast as they can, while the table keeps a record of who made which step."""
    add_game(pg)
    pg.execute(RECORD)
    stop = Event()
    turns = pool.submit(generate_turns, postgres_dsn, stop)
    try:
        swap_against(rows, turns, 100)
    finally:
        stop.set()  # or else the pool waits for it for ever
    turns.result(30)
    ours = pg.execute(
        "SELECT was, now, count(*) FROM step WHERE who = 'the writer' GROUP BY 1, 2 ORDER BY 1"
    ).fetchall()
    assert ours == [("engine_unreachable", "running", 50), ("running", "engine_unreachable", 50)]


def swap_against(rows: PostgresRows, turns: Future[None], wanted: int) -> None:
    """Swap a game to and fro until that has been done often enough; most tries meet a turn's generation."""
    won, targets = 0, ["engine_unreachable", "running"]
    for _ in range(5_000):
        written = rows.write([swap(target=targets[won % 2])], SINCE).rows["game-a"]
        won += written.before != written.row.status
        if won == wanted or turns.done():
            return
    raise AssertionError(f"only {won} of 5,000 tries found the status they could swap")


RECORD = """
CREATE TABLE step (who text, was text, now text);
CREATE FUNCTION record() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO step VALUES (current_setting('application_name'), OLD.status, NEW.status);
    RETURN NULL;
END $$;
CREATE TRIGGER record AFTER UPDATE OF status ON runtime_records
    FOR EACH ROW WHEN (OLD.status <> NEW.status) EXECUTE FUNCTION record();
"""


def generate_turns(dsn: str, stop: Event) -> None:
    """Game Master's turn generation, by compare-and-swap as well."""
    with psycopg.connect(dsn, autocommit=True, application_name="Game Master") as game_master:
        while not stop.is_set():
            for was, now, turns in (("running", "generation_in_progress", 0), ("generation_in_progress", "running", 1)):
                game_master.execute(
                    "UPDATE runtime_records SET status = %s, current_turn = current_turn + %s WHERE status = %s",
                    [now, turns, was],
                )
