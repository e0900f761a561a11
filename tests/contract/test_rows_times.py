"""Times on a real server: a write's is later than all before it, and each travels as text that sorts as time does."""

from __future__ import annotations

import re

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from gmhealth.adapters.postgres import write_statement
from gmhealth.adapters.postgres.rows import PostgresRows
from gmhealth.core.journal import Stored
from gmhealth.core.plan import NetEffect, Row
from gmhealth.core.rules import Summary
from tests.contract.conftest import RowsWith
from tests.eventually import eventually
from tests.games import add_game

SINCE = "2020-01-01 00:00:00+00"
UTC = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?\+00")
ROW = Row("running", 7, "oom")


def oom(game_id: str = "game-a") -> NetEffect:
    return NetEffect(game_id, "", Summary.OOM)


def add_game_of(pg: psycopg.Connection, updated_at: str | None, game_id: str = "game-a", health: str = "oom") -> None:
    add_game(pg, game_id, health=health)
    pg.execute("ALTER TABLE runtime_records ALTER COLUMN updated_at DROP NOT NULL")
    pg.execute("UPDATE runtime_records SET updated_at = %s WHERE game_id = %s", [updated_at, game_id])


def times(rows: PostgresRows, *game_ids: str) -> dict[str, str]:
    return {each.game_id: each.updated_at for each in rows.find(game_ids)}


@pytest.fixture(params=["as this server does", "as those before 18 do"])
def written(request: pytest.FixtureRequest, rows: PostgresRows, monkeypatch: pytest.MonkeyPatch) -> PostgresRows:
    """Rows over either form of the statement; a server before 18 has but one."""
    if "before" in request.param:
        monkeypatch.setattr(write_statement, "RETURNS_OLD", 10**9)
    return rows


def test_a_write_has_postgresqls_time_and_so_have_its_rows(written: PostgresRows, pg: psycopg.Connection) -> None:
    add_game(pg, "game-a")
    add_game(pg, "game-b")
    before = written.now()
    wrote = written.write([oom("game-a"), oom("game-b")], SINCE)
    assert before < wrote.at < written.now()
    assert {each.updated_at for each in wrote.rows.values()} == {""}
    assert times(written, "game-a", "game-b") == {"game-a": wrote.at, "game-b": wrote.at}


def test_a_write_of_no_row_has_no_time(written: PostgresRows) -> None:
    assert written.write([oom()], SINCE)[:2] == ("", {})


def test_a_write_is_later_than_the_last_one_though_the_clock_was_set_back(
    written: PostgresRows, pg: psycopg.Connection
) -> None:
    add_game(pg)
    wrote = written.write([oom()], "2999-01-01 00:00:00+00")
    assert wrote.at == "2999-01-01 00:00:00.000001+00"
    assert times(written, "game-a") == {"game-a": wrote.at}
    assert written.write([oom()], wrote.at).at == "2999-01-01 00:00:00.000002+00"


def test_a_row_of_the_future_grows_and_comes_back_with_its_own_time(
    written: PostgresRows, pg: psycopg.Connection
) -> None:
    add_game(pg, "game-a")
    add_game_of(pg, "2999-01-01 00:00:00+00", "game-b")
    wrote = written.write([oom("game-a"), oom("game-b")], SINCE)
    own = "2999-01-01 00:00:00.000001+00"
    assert wrote.at < "2999"
    assert [wrote.rows[name].updated_at for name in ("game-a", "game-b")] == ["", own]
    assert times(written, "game-a", "game-b") == {"game-a": wrote.at, "game-b": own}


@pytest.mark.parametrize(
    ("updated_at", "after"), [("infinity", "infinity"), ("-infinity", None), (None, None)], ids=str
)
def test_a_time_that_no_clock_shows_is_no_obstacle(
    written: PostgresRows, pg: psycopg.Connection, updated_at: str | None, after: str | None
) -> None:
    add_game_of(pg, updated_at)
    wrote = written.write([oom()], SINCE)
    assert wrote.rows["game-a"].updated_at == (after or "")
    assert times(written, "game-a") == {"game-a": after or wrote.at}


@pytest.mark.parametrize(
    ("updated_at", "text", "ms"),
    [
        ("2026-03-01 12:00:00.1239+02", "2026-03-01 10:00:00.1239+00", 1772359200123),
        ("1970-01-01 00:00:00+00", "1970-01-01 00:00:00+00", 0),
        ("1969-12-31 23:59:59.999+00", "1969-12-31 23:59:59.999+00", None),
        ("infinity", "infinity", None),
        ("-infinity", "-infinity", None),
        (None, "", None),
    ],
    ids=str,
)
def test_a_row_is_found_with_its_time(
    rows: PostgresRows, pg: psycopg.Connection, updated_at: str | None, text: str, ms: int | None
) -> None:
    add_game_of(pg, updated_at)
    assert rows.find(["game-a"]) == [Stored("game-a", ROW, text, ms)]


def pages(rows: PostgresRows, at: str, limit: int) -> list[list[Stored]]:
    found = [list(rows.changed_since(at, None, limit))]
    while found[-1]:
        found.append(list(rows.changed_since(at, found[-1][-1], limit)))
    return found[:-1]


def test_what_changed_comes_in_pages_in_order_of_time_and_game(rows: PostgresRows, pg: psycopg.Connection) -> None:
    add_game_of(pg, None, "game-0")
    add_game_of(pg, "-infinity", "game-1")
    add_game_of(pg, "2026-01-01 00:00:00+00", "game-2")
    add_game_of(pg, "infinity", "game-3")
    add_game_of(pg, "infinity", "game-4")
    add_game_of(pg, "infinity", "game-5")
    add_game_of(pg, "2026-01-01 00:00:01+00", "game-9")
    add_game_of(pg, "2026-01-01 00:00:01+00", "Game-8")
    add_game_of(pg, "2026-01-01 00:00:01+00", "game-ü")
    add_game_of(pg, "2026-01-01 00:00:00.000001+00", "game-z")
    found = pages(rows, "2026-01-01 00:00:00+00", 2)
    assert [len(page) for page in found] == [2, 2, 2, 1]
    changed = [each for page in found for each in page]
    assert [each.updated_at for each in changed] == sorted(each.updated_at for each in changed)
    names = [each.game_id for each in changed]
    assert (names[0], *sorted(names[1:4]), *names[4:]) == (
        *("game-z", "Game-8", "game-9", "game-ü"),
        *("game-3", "game-4", "game-5"),
    )
    assert changed[0] == Stored("game-z", ROW, "2026-01-01 00:00:00.000001+00", 1767225600000)


def test_what_has_no_summary_status_or_turn_has_not_changed_for_us(rows: PostgresRows, pg: psycopg.Connection) -> None:
    add_game_of(pg, "2026-01-01 00:00:01+00", "game-a", health="")
    for name in ("status", "current_turn"):
        pg.execute(f"ALTER TABLE runtime_records ALTER COLUMN {name} DROP NOT NULL".encode())
        add_game_of(pg, "2026-01-01 00:00:01+00", f"game-{name}")
        pg.execute(f"UPDATE runtime_records SET {name} = NULL WHERE game_id = 'game-{name}'".encode())
    assert rows.changed_since(SINCE, None, 10) == []


def scans(pg: psycopg.Connection) -> int:
    found = pg.execute("SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'runtime_records'").fetchone()
    return found[0] if found else 0


def test_what_changed_is_found_by_one_pass_over_the_table(rows: PostgresRows, pg: psycopg.Connection) -> None:
    """An index of another column, as there is one for the status, would lead to each row on its own."""
    pg.execute("ALTER TABLE runtime_records ALTER COLUMN status DROP NOT NULL")  # as servers before 17 plan it anyhow
    add_game(pg)
    pg.execute("ANALYZE runtime_records")
    before = scans(pg)
    rows.changed_since(SINCE, None, 10)
    rows.close()  # which reports its counts
    eventually(lambda: scans(pg) == before + 1)


@pytest.mark.parametrize(
    "setting", ["DateStyle = 'German, DMY'", "DateStyle = 'SQL, MDY'", "TimeZone = 'Asia/Kolkata'"]
)
def test_no_setting_of_the_database_changes_the_texts(rows: PostgresRows, pg: psycopg.Connection, setting: str) -> None:
    pg.execute(SQL("ALTER DATABASE {} SET ").format(Identifier(pg.info.dbname)) + SQL(setting))
    add_game(pg, "game-a")
    add_game_of(pg, "2999-01-01 00:00:00+00", "game-b")
    rows.lock()
    wrote = rows.write([oom("game-a"), oom("game-b")], SINCE)
    texts = [rows.server.started, rows.now(), wrote.at, wrote.rows["game-b"].updated_at]
    texts += [each.updated_at for each in (*rows.find(["game-a"]), *rows.changed_since(SINCE, None, 10))]
    assert len(texts) == 7
    assert [text for text in texts if not UTC.fullmatch(text)] == []
    assert rows.holder() is not None


@pytest.mark.parametrize(
    ("default", "used"), [("off", "on"), ("on", "on"), ("local", "local"), ("remote_apply", "remote_apply")]
)
def test_a_write_is_durable_whatever_the_database_says(
    rows_with: RowsWith, pg: psycopg.Connection, default: str, used: str
) -> None:
    alter = SQL("ALTER DATABASE {} SET synchronous_commit = {}")
    pg.execute(alter.format(Identifier(pg.info.dbname), default))
    rows = rows_with()
    rows.lock()
    assert rows._connection is not None
    assert rows._connection.execute("SHOW synchronous_commit").fetchone() == (used,)
