"""Rows on a real server: guarded writes win or lose, whole, and never touch what is not ours (I4, D2, D3)."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from gmhealth.adapters import postgres_connection
from gmhealth.adapters.postgres_connection import Connection
from gmhealth.adapters.postgres_rows import PostgresRows
from gmhealth.core.mapping import Summary
from gmhealth.core.plan import Change, Row
from tests.contract.roles import READ, WRITE, as_role, limited_role
from tests.eventually import eventually
from tests.games import Game, add_game, game, games

OURS = {"status", "engine_health", "updated_at"}


def change(game_id: str = "game-a", *, expected: str = "running", turn: int = 7, to: str | None = None) -> Change:
    return Change(game_id, expected, turn, to or "engine_unreachable", Summary.OOM)


def whole_row(pg: psycopg.Connection) -> dict[str, Any]:
    found = pg.execute("SELECT to_jsonb(r) FROM runtime_records r").fetchone()
    assert found is not None
    columns: dict[str, Any] = found[0]
    return columns


def test_loading_gives_the_rows_that_there_are(rows: PostgresRows, pg: psycopg.Connection) -> None:
    add_game(pg, "game-a", status="stopped", turn=3, health="oom")
    add_game(pg, "game-ü '\"; --", status="running", turn=0)
    add_game(pg, "game-c")
    assert rows.load({"game-a", "game-ü '\"; --", "game-nowhere"}) == {
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
    assert rows.load([*(f"game-{n}" for n in range(5000)), "game-a"]) == {"game-a": Row("running", 7, "")}
    assert len(executed) == 1


def test_a_change_applies_while_status_and_turn_are_as_planned(rows: PostgresRows, pg: psycopg.Connection) -> None:
    add_game(pg)
    assert rows.write([change()]) == frozenset()
    assert game(pg) == Game("engine_unreachable", 7, "oom")


def test_a_change_may_leave_the_status_as_it_is(rows: PostgresRows, pg: psycopg.Connection) -> None:
    add_game(pg, status="finished")
    assert rows.write([change(expected="finished", to="finished")]) == frozenset()
    assert game(pg) == Game("finished", 7, "oom")


@pytest.mark.parametrize(
    "stale",
    [
        pytest.param(change(expected="generation_in_progress"), id="another status"),
        pytest.param(change(turn=6), id="another turn"),
        pytest.param(change("game-gone"), id="no row"),
    ],
)
def test_a_change_planned_from_another_row_loses_and_touches_nothing(
    rows: PostgresRows, pg: psycopg.Connection, stale: Change
) -> None:
    add_game(pg)
    before = whole_row(pg)
    assert rows.write([stale]) == {stale.game_id}
    assert whole_row(pg) == before


def test_the_others_apply_when_one_loses(rows: PostgresRows, pg: psycopg.Connection) -> None:
    for game_id, status in (("game-a", "running"), ("game-b", "stopped"), ("game-c", "running")):
        add_game(pg, game_id, status=status)
    assert rows.write([change("game-a"), change("game-b"), change("game-c")]) == {"game-b"}
    assert [row.status for _, row in sorted(games(pg).items())] == [
        "engine_unreachable",
        "stopped",
        "engine_unreachable",
    ]


def test_all_of_a_write_is_one_transaction(rows: PostgresRows, pg: psycopg.Connection) -> None:
    add_game(pg, "game-a")
    add_game(pg, "game-b")
    with pytest.raises(Exception, match="runtime_records_status_check"):
        rows.write([change("game-a"), change("game-b", to="no such status")])
    assert game(pg, "game-a") == Game("running", 7, "")


def test_nothing_to_write_needs_no_server() -> None:
    def refuse() -> Any:
        raise AssertionError("connected")

    assert PostgresRows(refuse, table="runtime_records", lock_name="offset").write([]) == frozenset()


def test_a_write_touches_our_columns_only(rows: PostgresRows, pg: psycopg.Connection) -> None:
    add_game(pg)
    before = whole_row(pg)
    rows.write([change()])
    after = whole_row(pg)
    assert {name for name, value in after.items() if value != before[name]} == OURS
    assert after["updated_at"] > "2026"


@pytest.mark.parametrize("status", ["stopped", "finished", "generation_in_progress", "running"])
def test_a_summary_is_written_whatever_the_status_and_the_row_comes_back(
    rows: PostgresRows, pg: psycopg.Connection, status: str
) -> None:
    add_game(pg, status=status, turn=9)
    before = whole_row(pg)
    assert rows.write_summaries([change(), change("game-gone")]) == {"game-a": Row(status, 9, "oom")}
    after = whole_row(pg)
    assert {name for name, value in after.items() if value != before[name]} == OURS - {"status"}


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
    assert rows.write([change()]) == frozenset()
    assert rows.load(["game-a"]) == {"game-a": Row("engine_unreachable", 7, "oom")}
    rows.close()


def test_grants_on_our_columns_are_enough(postgres_dsn: str, pg: psycopg.Connection) -> None:
    add_game(pg)
    with limited_role(pg, READ, WRITE) as role:
        rows = PostgresRows(lambda: as_role(postgres_dsn, role), table="runtime_records", lock_name="offset")
        rows.lock()
        assert rows.write([change()]) == frozenset()
        assert rows.write_summaries([change()]) == {"game-a": Row("engine_unreachable", 7, "oom")}
        rows.close()


def test_work_meanwhile_is_done_once_the_write_has_left(rows: PostgresRows, pg: psycopg.Connection) -> None:
    add_game(pg)
    seen: list[Game] = []

    def meanwhile() -> None:
        eventually(lambda: game(pg).engine_health == "oom")
        seen.append(game(pg))

    assert rows.write([change()], meanwhile) == frozenset()
    assert seen == [Game("engine_unreachable", 7, "oom")]
    assert rows.load(["game-a"]) == {"game-a": Row("engine_unreachable", 7, "oom")}
    assert len(seen) == 1


def test_what_is_raised_meanwhile_comes_out_and_leaves_the_session_to_be_dropped(
    rows: PostgresRows, pg: psycopg.Connection
) -> None:
    add_game(pg)

    def meanwhile() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        rows.write([change()], meanwhile)
    eventually(lambda: game(pg).engine_health == "oom")
    rows.close()
    assert rows.load(["game-a"]) == {"game-a": Row("engine_unreachable", 7, "oom")}
