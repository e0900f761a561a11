"""Game Master's `runtime_records`, and the writer's lock on the same session (design 2.4, 3.4)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from msgspec.json import encode
from psycopg import sql

from gmhealth.adapters.postgres_connection import Connection, rows_of
from gmhealth.adapters.postgres_errors import ASK_TIMELINE, translated
from gmhealth.core.outage import Outage, heard, said
from gmhealth.core.plan import NetEffect, Row, Written
from gmhealth.errors import Unavailable
from gmhealth.worker.ports import Lock, Meanwhile, nothing

# `+ 0` is refused for a column that is no number (42883).
LOAD = sql.SQL("""
SELECT game_id, status, current_turn + 0, engine_health
  FROM {table}
 WHERE game_id = ANY (%s)
   AND status IS NOT NULL
   AND current_turn IS NOT NULL
""")

# The statements below are one transaction each, so no row stays locked while a client is waited for. They decide by
# the status that they find under the row's lock: who changes the row meanwhile is waited for, and then the statement
# looks again (READ COMMITTED; PostgreSQL manual, 13.2.1), so a swap never overrules another one (I4) and needs no
# guard. The changes come in game_id order and are joined in that order: see LOCK_ORDER. As one JSON text they cost the
# client a quarter of what an array per column does. The literals take the type of the column, text or enum alike.
CHANGES = sql.SQL("""
(SELECT item ->> 0 AS game_id,
        item ->> 1 AS target,
        item ->> 2 AS engine_health
   FROM jsonb_array_elements(%s) AS item)
""")
STATUS = sql.SQL("""
CASE WHEN {found}.status::text = 'running' AND {change}.target = 'engine_unreachable' THEN 'engine_unreachable'
     WHEN {found}.status::text = 'engine_unreachable' AND {change}.target = 'running' THEN 'running'
     ELSE {found}.status
END
""")
# A clock that was set back leaves `updated_at` growing all the same.
UPDATED_AT = sql.SQL("greatest(now(), r.updated_at + interval '1 microsecond')")

WRITE = sql.SQL("""
UPDATE {table} AS r
   SET status = {status},
       engine_health = change.engine_health,
       updated_at = {updated_at}
  FROM {changes} AS change
 WHERE r.game_id = change.game_id
   AND r.status IS NOT NULL
   AND r.current_turn IS NOT NULL
RETURNING r.game_id, old.status::text, r.status::text, r.current_turn + 0, r.engine_health
""")

# Before PostgreSQL 18 RETURNING cannot tell what was there. The lock is taken row by row, in the order of the changes;
# once it is held, nobody changes the row before the UPDATE, which starts from what the lock found.
WRITE_BEFORE_18 = sql.SQL("""
WITH found AS MATERIALIZED (
    SELECT change.target, change.engine_health, locked.game_id, locked.status
      FROM {changes} AS change
     CROSS JOIN LATERAL (
           SELECT r.game_id, r.status
             FROM {table} AS r
            WHERE r.game_id = change.game_id
              AND r.status IS NOT NULL
              AND r.current_turn IS NOT NULL
              FOR NO KEY UPDATE
           ) AS locked
)
UPDATE {table} AS r
   SET status = {status},
       engine_health = found.engine_health,
       updated_at = {updated_at}
  FROM found
 WHERE r.game_id = found.game_id
RETURNING r.game_id, found.status::text, r.status::text, r.current_turn + 0, r.engine_health
""")

LOCK_ORDER: Final = """
-- Changes are then looked up by primary key one after the other, in the order they are sent: the lock order. A plan
-- made while the table is tiny would have it on the outer side, and lock in the order of the disk.
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SET enable_material = off;
-- Planning anew for each batch costs more than the statement, and comes to the same plan.
SET plan_cache_mode = force_generic_plan;
"""

TRY_LOCK = "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))"

# The insertion timeline: `pg_control_checkpoint()` tells a new one only after the next checkpoint, minutes later.
TIMELINE = """
SELECT CASE WHEN NOT pg_is_in_recovery()
            THEN (SELECT system_identifier FROM pg_control_system()) || '/'
                 || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)
       END
"""

HOLDER = """
SELECT a.application_name, a.pid, a.backend_start
  FROM pg_locks AS l
  JOIN pg_stat_activity AS a USING (pid)
 WHERE l.locktype = 'advisory'
   AND l.granted
   AND l.objsubid = 1  -- a lock on one 64-bit key, halves in classid and objid
   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND (l.classid::bigint << 32) | l.objid::bigint = hashtextextended(%s, 0)
"""


RETURNS_OLD: Final = 180_000
"""The server version from which on RETURNING tells what was there before."""
LONGEST_NAME: Final = 63
"""Characters of an application_name that PostgreSQL keeps; everybody sees it, and it needs no grant."""


class PostgresRows:
    """Rows and lock over one session, opened on first use and again after it broke.

    `table` may name its schema. `lock_name` is what two writers must not both hold: the offset's key. Without
    `ask_timeline` a failover goes unnoticed, and PostgreSQL is not asked what some of its services do not tell.
    """

    def __init__(
        self, connect: Callable[[], Connection], *, table: str, lock_name: str, ask_timeline: bool = True
    ) -> None:
        self._connect, self._lock_name, self._ask_timeline = connect, lock_name, ask_timeline
        name = sql.Identifier(*table.split("."))
        self._load = LOAD.format(table=name)
        self._write, self._write_before_18 = _write(name, WRITE, "r", "change"), _write(name, WRITE_BEFORE_18, "found")
        self._connection: Connection | None = None
        self._locked = False
        self._timeline: str | None = None  # of this session

    @property
    def timeline(self) -> str:
        """The system identifier and the timeline."""
        return self._timeline or ""

    @contextmanager
    def _session(self, what: str) -> Iterator[Connection]:
        """The session, for one statement; after an error that may pass it is closed, as its state is in doubt."""
        if self._connection is None:
            self._connection = self._connect()
            with self._session(f"set up to {what}") as connection:
                connection.execute(LOCK_ORDER)
        try:
            with translated(what):
                yield self._connection
        except Unavailable:
            self.close()
            raise

    def close(self) -> None:
        """End the session, and with it the lock."""
        connection, self._connection, self._locked, self._timeline = self._connection, None, False, None
        if connection is not None:
            connection.close()

    def lock(self) -> Lock:
        """Take the session-level advisory lock, once a session."""
        if self._locked:
            return Lock.HELD
        if self._timeline is None and self._ask_timeline:  # once: a promotion ends every session that could write
            self._timeline = self._current_timeline()
        with self._session("take the writer's lock") as connection:
            row = connection.execute(TRY_LOCK, [self._lock_name]).fetchone()
        self._locked = row is not None and row[0]
        return Lock.TAKEN if self._locked else Lock.REFUSED

    def _current_timeline(self) -> str:
        with self._session(ASK_TIMELINE) as connection:
            row = connection.execute(TIMELINE).fetchone()
            if row is None or row[0] is None:
                raise psycopg.errors.ReadOnlySqlTransaction("this server is a standby, not the primary")
        return str(row[0])

    def holder(self) -> str | None:
        """Look the lock up in pg_locks."""
        with self._session("look who holds the writer's lock") as connection:
            row = connection.execute(HOLDER, [self._lock_name]).fetchone()
        if row is None:
            return None
        name, _ = heard(row[0], "Redis")
        since = f", since {row[2]:%Y-%m-%d %H:%M:%S%z}" if row[2] else ""  # hidden from other roles than its own
        return f"{name}, PostgreSQL session {row[1]}{since}"

    def tell(self, outage: Outage | None) -> None:
        """Put it into the session's application_name, if there is a session."""
        if self._connection is not None:
            name = self._connection.info.get_parameters().get("application_name", "")
            text = name if outage is None else said(name, outage, LONGEST_NAME)
            with self._session("name the session") as connection:
                connection.execute("SELECT set_config('application_name', %s, false)", [text])

    def outage(self) -> tuple[str, Outage | None]:
        """Who holds the writer's lock, empty for nobody, and what it waits for."""
        with self._session("look who holds the writer's lock") as connection:
            row = connection.execute(HOLDER, [self._lock_name]).fetchone()
        return heard(row[0] if row else "", "Redis")

    def load(self, game_ids: Collection[str]) -> Mapping[str, Row]:
        """Load rows by primary key."""
        with self._session("load rows") as connection:
            return {game_id: Row(*row) for game_id, *row in rows_of(connection, self._load, list(game_ids))}

    def write(self, effects: Sequence[NetEffect], meanwhile: Meanwhile = nothing) -> Mapping[str, Written]:
        """Write all effects in one statement that is its own transaction."""
        if not effects:
            return {}
        with self._session("write rows") as connection:
            try:
                with connection.busy_with(meanwhile):
                    found = self._send(connection, effects)
            except psycopg.errors.UntranslatableCharacter:
                # By a game whose ID the database's encoding cannot hold, which has no row; by anything else, again.
                known = {row[0] for row in rows_of(connection, self._load, [each.game_id for each in effects])}
                held = [each for each in effects if each.game_id in known]
                found = self._send(connection, held) if held else []
        return {game_id: Written(before, Row(*row)) for game_id, before, *row in found}

    def _send(self, connection: Connection, effects: Sequence[NetEffect]) -> list[tuple[Any, ...]]:
        query = self._write if connection.info.server_version >= RETURNS_OLD else self._write_before_18
        return connection.execute(query, [encode(effects).decode()]).fetchall()

    def keep_alive(self) -> None:
        """Send the shortest of statements, if there is a session to keep."""
        if self._connection is not None:
            with self._session("keep the session alive") as connection:
                connection.execute("SELECT 1")


def _write(table: sql.Identifier, query: sql.SQL, found: str, change: str = "") -> sql.Composed:
    status = STATUS.format(found=sql.Identifier(found), change=sql.Identifier(change or found))
    return query.format(table=table, status=status, changes=CHANGES, updated_at=UPDATED_AT)
