"""Rows that PostgreSQL refuses, or finds and does not update, are values; nothing is written then (design 3.1)."""

from __future__ import annotations

import psycopg
import pytest

from gmhealth.adapters.postgres import write_statement
from gmhealth.adapters.postgres.rows import PostgresRows
from gmhealth.core.plan import NetEffect
from gmhealth.core.rules import Summary
from gmhealth.worker.ports import Wrote
from tests.contract.roles import READ, WRITE, as_role, limited_role
from tests.games import Game, add_game, games

SINCE = "2020-01-01 00:00:00+00"
UNHEALTHY = [NetEffect(game_id, "", Summary.INSPECT_UNHEALTHY) for game_id in ("game-a", "game-b", "game-x")]
TRIGGER = """
CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {} END $$;
CREATE TRIGGER meddle BEFORE UPDATE ON runtime_records FOR EACH ROW WHEN (NEW.game_id = 'game-b')
    EXECUTE FUNCTION meddle();
"""
REFUSING = {
    "too narrow": ("ALTER TABLE runtime_records ALTER engine_health TYPE varchar(16)", "22001", ""),
    "CHECK": ("ALTER TABLE runtime_records ADD CONSTRAINT known CHECK (length(engine_health) < 9)", "23514", ""),
    "a trigger": (TRIGGER.format("RAISE 'archived';"), "P0001", ""),
    "a trigger, NULL": (TRIGGER.format("NEW.engine_health = NULL; RETURN NEW;"), "23502", "engine_health"),
}


@pytest.fixture(params=["as this server does", "as those before 18 do"], autouse=True)
def _statement(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Either form of the statement; a server before 18 has but one."""
    if "before" in request.param:
        monkeypatch.setattr(write_statement, "RETURNS_OLD", 10**9)


@pytest.fixture(autouse=True)
def _games(pg: psycopg.Connection) -> None:
    add_game(pg, "game-a")
    add_game(pg, "game-b")


@pytest.mark.parametrize("kind", REFUSING)
def test_a_refused_row_is_a_value_and_nothing_is_written(rows: PostgresRows, pg: psycopg.Connection, kind: str) -> None:
    ddl, sqlstate, column = REFUSING[kind]
    pg.execute(ddl.encode())
    wrote = rows.write(UNHEALTHY, SINCE)
    assert (wrote.at, wrote.rows) == ("", {})
    assert wrote.refusal is not None
    assert (wrote.refusal.sqlstate, wrote.refusal.column) == (sqlstate, column)
    assert wrote.refusal.reason
    assert games(pg)["game-a"] == Game("running", 7, "")
    assert rows.write(UNHEALTHY[2:], SINCE) == Wrote("", {}, set())  # the session is as good as before


def test_what_a_trigger_does_not_update_is_skipped(rows: PostgresRows, pg: psycopg.Connection) -> None:
    pg.execute(TRIGGER.format("RETURN NULL;").encode())
    wrote = rows.write(UNHEALTHY, SINCE)
    assert (list(wrote.rows), wrote.skipped) == (["game-a"], {"game-b"})


def test_what_a_policy_does_not_let_us_update_is_skipped(postgres_dsn: str, pg: psycopg.Connection) -> None:
    pg.execute("ALTER TABLE runtime_records ENABLE ROW LEVEL SECURITY")
    pg.execute("CREATE POLICY seen ON runtime_records FOR SELECT USING (true)")
    pg.execute("CREATE POLICY ours ON runtime_records FOR UPDATE USING (game_id = 'game-a')")
    with limited_role(pg, READ, WRITE) as role:
        rows = PostgresRows(lambda: as_role(postgres_dsn, role), table="runtime_records", lock_name="offset")
        wrote = rows.write(UNHEALTHY, SINCE)
        rows.close()
    assert (list(wrote.rows), wrote.skipped) == (["game-a"], {"game-b"})


def test_a_row_without_a_status_is_not_skipped(rows: PostgresRows, pg: psycopg.Connection) -> None:
    pg.execute("ALTER TABLE runtime_records ALTER status DROP NOT NULL")
    pg.execute("UPDATE runtime_records SET status = NULL WHERE game_id = 'game-b'")
    wrote = rows.write(UNHEALTHY, SINCE)
    assert (list(wrote.rows), wrote.skipped) == (["game-a"], set())
