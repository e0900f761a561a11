"""What identifies a PostgreSQL server, as far as it tells (design 3.1, R)."""

from __future__ import annotations

import psycopg
import pytest

from gmhealth.adapters.postgres.rows import PostgresRows
from gmhealth.core.commit_record import Server
from gmhealth.errors import Unavailable
from gmhealth.worker.ports import Lock
from tests.contract.conftest import RowsWith
from tests.contract.roles import READ, WRITE, as_role, limited_role

EXPECTED = """
SELECT system_identifier::text, lpad(to_hex(timeline_id), 8, '0'),
       (pg_postmaster_start_time() AT TIME ZONE 'UTC')::text || '+00'
  FROM pg_control_system(), pg_control_checkpoint()
"""
RAISE = """
CREATE FUNCTION {} RETURNS {} LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not here' USING ERRCODE = '{}'; END $$
"""
STANDS_BY = "CREATE FUNCTION pg_is_in_recovery() RETURNS boolean LANGUAGE sql AS 'SELECT true'"
OWN_FUNCTIONS_FIRST = "SET search_path = public, pg_catalog"


def server(pg: psycopg.Connection) -> Server:
    return Server(*(pg.execute(EXPECTED).fetchone() or ()))


def test_it_is_known_with_the_lock_whether_that_was_got_or_not(
    rows: PostgresRows, other_rows: PostgresRows, pg: psycopg.Connection
) -> None:
    assert rows.lock() is Lock.TAKEN
    assert other_rows.lock() is Lock.REFUSED
    assert (rows.server, other_rows.server) == (server(pg), server(pg))
    assert "" not in (rows.server.system, rows.server.timeline, rows.server.started)
    rows.close()
    assert rows.server == Server()


def test_what_a_role_may_not_ask_stays_empty_and_the_lock_is_taken(postgres_dsn: str, pg: psycopg.Connection) -> None:
    pg.execute("REVOKE EXECUTE ON FUNCTION pg_control_system(), pg_walfile_name(pg_lsn) FROM PUBLIC")
    with limited_role(pg, READ, WRITE) as role:
        rows = PostgresRows(lambda: as_role(postgres_dsn, role), table="runtime_records", lock_name="offset")
        assert rows.lock() is Lock.TAKEN
        assert rows.server == Server(started=server(pg).started)
        rows.close()


@pytest.mark.parametrize("state", ["42501", "42883", "0A000", "55000"])
@pytest.mark.parametrize(
    ("function", "type_", "field"),
    [
        ("pg_control_system(OUT system_identifier bigint)", "bigint", "system"),
        ("pg_walfile_name(pg_lsn)", "text", "timeline"),
        ("pg_postmaster_start_time()", "timestamptz", "started"),
    ],
)
def test_what_a_service_does_not_tell_stays_empty_and_the_lock_is_taken(
    rows_with: RowsWith, pg: psycopg.Connection, function: str, type_: str, field: str, state: str
) -> None:
    """Some have functions of their own in the place of those that they don't allow."""
    pg.execute(RAISE.format(function, type_, state).encode())
    rows = rows_with(OWN_FUNCTIONS_FIRST)
    assert rows.lock() is Lock.TAKEN
    known = {name: getattr(server(pg), name) for name in ("system", "timeline", "started")}
    assert rows.server == Server(**{**known, field: ""})


def test_a_standby_may_be_the_primary_again(rows_with: RowsWith, pg: psycopg.Connection) -> None:
    pg.execute(STANDS_BY)
    rows = rows_with(OWN_FUNCTIONS_FIRST)
    with pytest.raises(Unavailable, match="could not ask which server it is: this server is a standby"):
        rows.lock()
    pg.execute("DROP FUNCTION public.pg_is_in_recovery()")
    assert rows.lock() is Lock.TAKEN
