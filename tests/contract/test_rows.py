"""Rows on a real server: a write decides by the status that it finds, and touches only what is ours (I4, D2, D3)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import psycopg
import pytest

from gmhealth.adapters.postgres import connection as postgres_connection
from gmhealth.adapters.postgres import write_statement
from gmhealth.adapters.postgres.connection import Connection
from gmhealth.adapters.postgres.rows import PostgresRows
from gmhealth.core.plan import NetEffect, Row, Written, apply
from gmhealth.core.rules import Status, Summary
from gmhealth.worker.ports import Wrote
from tests.contract.roles import READ, WRITE, as_role, limited_role
from tests.eventually import eventually
from tests.games import Game, add_game, game, games

OURS = {"status", "engine_health", "updated_at"}


SINCE = "2020-01-01 00:00:00+00"
UNREACHABLE = Written("running", Row("engine_unreachable", 7, "oom"))


def oom(game_id: str = "game-a") -> NetEffect:
    return NetEffect(game_id, "engine_unreachable", Summary.OOM)


def found(rows: PostgresRows, game_ids: Collection[str]) -> dict[str, Row]:
    return {each.game_id: each.row for each in rows.find(game_ids)}


def whole_row(pg: psycopg.Connection) -> dict[str, Any]:
    found = pg.execute("SELECT to_jsonb(r) FROM runtime_records r").fetchone()
    assert found is not None
    columns: dict[str, Any] = found[0]
    return columns


def test_loading_gives_the_rows_that_there_are(rows: PostgresRows, pg: psycopg.Connection) -> None:
    add_game(pg, "game-a", status="stopped", turn=3, health="oom")
    add_game(pg, "game-ü '\"; --", status="running", turn=0)
    add_game(pg, "game-c")
    assert found(rows, {"game-a", "game-ü '\"; --", "game-nowhere"}) == {
        "game-a": Row("stopped", 3, "oom"),
        "game-ü '\"; --": Row("running", 0, ""),
    }


def test_loading_thousands_is_one_query(
    rows: PostgresRows, pg: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_game(pg)
    executed: list[object] = []
    execute = Connection.execute

    def count(self: Connection, query: Any, *arguments: Any, **options: Any) -> Any:
        executed.append(query)
        return execute(self, query, *arguments, **options)

    monkeypatch.setattr(Connection, "execute", count)
    rows.lock()
    executed.clear()  # what comes with a new session
    assert found(rows, [*(f"game-{n}" for n in range(5000)), "game-a"]) == {"game-a": Row("running", 7, "")}
    assert len(executed) == 1


STATUSES = (*Status, "a status that Game Master has added")


@pytest.fixture(params=["as this server does", "as those before 18 do"])
def written(request: pytest.FixtureRequest, rows: PostgresRows, monkeypatch: pytest.MonkeyPatch) -> PostgresRows:
    """Rows over either form of the statement; a server before 18 has but one."""
    if "before" in request.param:
        monkeypatch.setattr(write_statement, "RETURNS_OLD", 10**9)
    return rows


@pytest.mark.parametrize("target", ["", "running", "engine_unreachable"])
def test_a_write_does_to_each_status_what_the_core_says(
    written: PostgresRows, pg: psycopg.Connection, target: str
) -> None:
    pg.execute("ALTER TABLE runtime_records DROP CONSTRAINT runtime_records_status_check")
    for status in STATUSES:
        add_game(pg, f"game-{status}", status=status)
    effects = [NetEffect(f"game-{status}", target, Summary.OOM) for status in sorted(STATUSES)]
    expected = apply(effects, {f"game-{status}": Row(status, 7, "") for status in STATUSES})
    assert written.write(effects, SINCE).rows == expected
    assert games(pg) == {game_id: Game(row.status, 7, "oom") for game_id, (_, row, _) in expected.items()}


@pytest.mark.parametrize(
    "type_", ["text", "varchar(32)", "short", "state"], ids=["text", "varchar", "a domain", "an enum"]
)
def test_a_status_may_be_of_any_type_of_text(written: PostgresRows, pg: psycopg.Connection, type_: str) -> None:
    pg.execute("CREATE DOMAIN short AS text CHECK (length(VALUE) < 32)")
    pg.execute("CREATE TYPE state AS ENUM ('running', 'engine_unreachable')")
    pg.execute("ALTER TABLE runtime_records DROP CONSTRAINT runtime_records_status_check")
    pg.execute(f"ALTER TABLE runtime_records ALTER COLUMN status TYPE {type_} USING status::text::{type_}".encode())
    add_game(pg)
    assert written.write([oom()], SINCE).rows == {"game-a": UNREACHABLE}


def test_a_game_without_a_row_is_left_out_and_the_others_are_written(
    written: PostgresRows, pg: psycopg.Connection
) -> None:
    add_game(pg, "game-b")
    assert written.write([oom("game-a"), oom("game-b"), oom("game-c")], SINCE).rows == {"game-b": UNREACHABLE}


@pytest.mark.parametrize("column", ["status", "current_turn"])
def test_a_row_without_status_or_turn_is_not_touched(
    written: PostgresRows, pg: psycopg.Connection, column: str
) -> None:
    add_game(pg)
    pg.execute(f"ALTER TABLE runtime_records ALTER COLUMN {column} DROP NOT NULL".encode())
    pg.execute(f"UPDATE runtime_records SET {column} = NULL".encode())
    before = whole_row(pg)
    assert written.write([oom()], SINCE).rows == {}
    assert found(written, ["game-a"]) == {}
    assert whole_row(pg) == before


def test_a_row_comes_back_as_a_trigger_before_it_has_stored_it(written: PostgresRows, pg: psycopg.Connection) -> None:
    add_game(pg)
    pg.execute(
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN NEW.status := OLD.status; NEW.engine_health := upper(NEW.engine_health); RETURN NEW; END $$;"
        " CREATE TRIGGER keep BEFORE UPDATE ON runtime_records FOR EACH ROW EXECUTE FUNCTION keep()"
    )
    assert written.write([oom()], SINCE).rows == {"game-a": Written("running", Row("running", 7, "OOM"))}


def test_nothing_to_write_needs_no_server() -> None:
    def refuse() -> Any:
        raise AssertionError("connected")

    assert PostgresRows(refuse, table="runtime_records", lock_name="offset").write([], SINCE) == Wrote("", {})


def test_a_write_touches_our_columns_only(rows: PostgresRows, pg: psycopg.Connection) -> None:
    add_game(pg)
    before = whole_row(pg)
    rows.write([oom()], SINCE)
    after = whole_row(pg)
    assert {name for name, value in after.items() if value != before[name]} == OURS
    assert after["updated_at"] > "2026"


def test_the_table_may_name_its_schema(postgres_dsn: str, pg: psycopg.Connection) -> None:
    pg.execute('CREATE SCHEMA "game master"')
    pg.execute('ALTER TABLE runtime_records SET SCHEMA "game master"')
    pg.execute('SET search_path TO "game master"')
    add_game(pg)
    rows = PostgresRows(
        lambda: postgres_connection.connect(postgres_dsn, password=None, application_name="test"),
        table="game master.runtime_records",
        lock_name="offset",
    )
    assert rows.write([oom()], SINCE).rows == {"game-a": UNREACHABLE}
    assert found(rows, ["game-a"]) == {"game-a": Row("engine_unreachable", 7, "oom")}
    rows.close()


def test_grants_on_our_columns_are_enough(postgres_dsn: str, pg: psycopg.Connection) -> None:
    add_game(pg)
    with limited_role(pg, READ, WRITE) as role:
        rows = PostgresRows(lambda: as_role(postgres_dsn, role), table="runtime_records", lock_name="offset")
        rows.lock()
        assert rows.write([oom()], SINCE).rows == {"game-a": UNREACHABLE}
        rows.close()


def test_work_meanwhile_is_done_once_the_write_has_left(rows: PostgresRows, pg: psycopg.Connection) -> None:
    add_game(pg)
    seen: list[Game] = []

    def meanwhile() -> None:
        eventually(lambda: game(pg).engine_health == "oom")
        seen.append(game(pg))

    assert rows.write([oom()], SINCE, meanwhile).rows == {"game-a": UNREACHABLE}
    assert seen == [Game("engine_unreachable", 7, "oom")]
    assert found(rows, ["game-a"]) == {"game-a": Row("engine_unreachable", 7, "oom")}
    assert len(seen) == 1


def test_what_is_raised_meanwhile_comes_out_and_leaves_the_session_to_be_dropped(
    rows: PostgresRows, pg: psycopg.Connection
) -> None:
    add_game(pg)

    def meanwhile() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        rows.write([oom()], SINCE, meanwhile)
    eventually(lambda: game(pg).engine_health == "oom")
    rows.close()
    assert found(rows, ["game-a"]) == {"game-a": Row("engine_unreachable", 7, "oom")}
