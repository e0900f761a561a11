"""Game Master's `runtime_records`, and the writer's lock on the same session (design 2.4, 3.4)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from msgspec.json import encode
from psycopg import sql

from gmhealth.adapters.postgres_connection import Connection, rows_of
from gmhealth.adapters.postgres_errors import ASK_TIMELINE, translated
from gmhealth.core.outage import Outage, heard, said
from gmhealth.core.plan import Change, Row, shared_row
from gmhealth.errors import Unavailable
from gmhealth.ports import Lock, Meanwhile, nothing

LOAD = sql.SQL("""
SELECT game_id, status, current_turn, engine_health
  FROM {table}
 WHERE game_id = ANY (%s)
""")

# One statement, so that no row stays locked while a client is waited for; READ COMMITTED looks at `expected` and
# `current_turn` again after waiting for a row (PostgreSQL manual, 13.2.1), so a swap never overrules another (I4).
# The changes come in game_id order and are joined in that order: see SESSION. As one JSON text they cost the client a
# quarter of what an array per column does, and the server less, too. Which of them applied is told only where not all
# did: a row of the answer for each would take the server a sixth of the time.
WRITE = sql.SQL("""
WITH applied AS (
    UPDATE {table} AS r
       SET status = change.status,
           engine_health = change.engine_health,
           updated_at = now()
      FROM (SELECT item ->> 0 AS game_id,
                   item ->> 1 AS expected,
                   (item ->> 2)::integer AS current_turn,
                   item ->> 3 AS status,
                   item ->> 4 AS engine_health
              FROM jsonb_array_elements(%s) AS item) AS change
     WHERE r.game_id = change.game_id
       AND r.status = change.expected
       AND r.current_turn = change.current_turn
    RETURNING r.game_id
)
SELECT CASE WHEN count(*) < %s THEN coalesce(array_agg(game_id), '{{}}') END
  FROM applied
""")

# Unguarded on purpose (D3): the status stays what it is, `stopped` and `finished` included.
WRITE_SUMMARIES = sql.SQL("""
UPDATE {table} AS r
   SET engine_health = change.engine_health,
       updated_at = now()
  FROM (SELECT item ->> 0 AS game_id,
               item ->> 4 AS engine_health
          FROM jsonb_array_elements(%s) AS item) AS change
 WHERE r.game_id = change.game_id
RETURNING r.game_id, r.status, r.current_turn, r.engine_health
""")

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
        self._load, self._write, self._write_summaries = (
            query.format(table=name) for query in (LOAD, WRITE, WRITE_SUMMARIES)
        )
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
            return _rows(rows_of(connection, self._load, list(game_ids)))

    def write(self, changes: Sequence[Change], meanwhile: Meanwhile = nothing) -> AbstractSet[str]:
        """Write all changes in one statement that is its own transaction."""
        if not changes:
            return frozenset()
        with self._session("write rows") as connection, connection.busy_with(meanwhile):
            ((applied,),) = connection.execute(self._write, [_json(changes), len(changes)])
        return frozenset() if applied is None else {change.game_id for change in changes}.difference(applied)

    def write_summaries(self, changes: Sequence[Change]) -> Mapping[str, Row]:
        """Write summaries in one statement that is its own transaction."""
        with self._session("write summaries") as connection:
            return _rows(connection.execute(self._write_summaries, [_json(changes)]).fetchall())

    def keep_alive(self) -> None:
        """Send the shortest of statements, if there is a session to keep."""
        if self._connection is not None:
            with self._session("keep the session alive") as connection:
                connection.execute("SELECT 1")


def _json(changes: Sequence[Change]) -> str:
    return encode(changes).decode()


def _rows(found: Iterable[tuple[Any, ...]]) -> dict[str, Row]:
    return {game_id: shared_row(*row) for game_id, *row in found}
