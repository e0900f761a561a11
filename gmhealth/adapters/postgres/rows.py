"""Game Master's `runtime_records`, and the leader lock on the same session (design 2.4, 3.4)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from msgspec.json import encode
from psycopg import sql

from gmhealth.adapters.postgres.connection import Connection, rows_of
from gmhealth.adapters.postgres.errors import refusal_of, translated
from gmhealth.adapters.postgres.locked import locks_named
from gmhealth.adapters.postgres.server import ASKED, ask_server
from gmhealth.adapters.postgres.write_statement import LOCK_ORDER, WriteStatement
from gmhealth.core.commit_record import Server
from gmhealth.core.journal import Stored
from gmhealth.core.outage import Outage, pack_outage, unpack_outage
from gmhealth.core.plan import NetEffect, Row, Written
from gmhealth.errors import Unavailable
from gmhealth.worker.ports import Lock, Meanwhile, Wrote, nothing

WRITING_SESSION: Final = """
-- So that times travel as text that sorts as time does.
SET DateStyle = 'ISO';
SET TimeZone = 'UTC';
-- What is reported must be durable (I1). Other levels are the operator's choice between standbys.
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';
"""

NOW = "SELECT now()::text"

# `+ 0` is refused for a column that is no number (42883).
STORED = sql.SQL("""
SELECT game_id,
       coalesce(updated_at::timestamptz::text, ''),
       CASE WHEN isfinite(updated_at) AND updated_at >= 'epoch'
            THEN floor(extract(epoch FROM updated_at) * 1000)::bigint
       END,
       status,
       current_turn + 0,
       engine_health
  FROM {table}
 WHERE status IS NOT NULL
   AND current_turn IS NOT NULL
""")
FIND = sql.SQL("""
{stored}
   AND game_id = ANY (%s)
""")
# The first page begins at the time itself and no game, which none precedes.
CHANGED_SINCE = sql.SQL("""
{stored}
   AND engine_health::text <> ''
   AND updated_at > {at}::timestamptz
   AND (updated_at, game_id) > ({last_at}::timestamptz, {last_game})
 ORDER BY updated_at, game_id
 LIMIT {limit}
""")
# It has no index. With LOCK_ORDER an index of another column, as of `status`, would be preferred, and read as a whole.
# Both are one request, so no transaction stays open between two.
READ_WHOLE_TABLE = sql.SQL("SET LOCAL enable_seqscan = on;")

TRY_LOCK = "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))"

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

FORMER: Final = (
    "PostgreSQL has not ended this process's own former session {}, which still has the leader lock: its last write is"
    " not confirmed, as while a synchronous standby is away"
)
LONGEST_NAME: Final = 63
"""Characters of an application_name that PostgreSQL keeps; everybody sees it, and it needs no grant."""


class PostgresRows:
    """Rows and lock over one session, opened on first use and again after it broke.

    `table` may name its schema. `lock_name` is what two leaders must not both hold: the offset's key.
    """

    def __init__(self, connect: Callable[[], Connection], *, table: str, lock_name: str) -> None:
        self._connect, self._lock_name = connect, lock_name
        self._table = sql.Identifier(*table.split("."))
        self._stored = STORED.format(table=self._table)
        self._find = FIND.format(stored=self._stored)
        self._write = WriteStatement(self._table)
        self._connection: Connection | None = None
        self._locked = False
        self._leader_pid = 0  # of the last session here that held the lock
        self._server: Server | None = None  # of this session

    @property
    def server(self) -> Server:
        """The server of this session."""
        return self._server or Server()

    @contextmanager
    def _session(self, what: str, effects: Sequence[NetEffect] = ()) -> Iterator[Connection]:
        """The session, for one statement; after an error that may pass it is closed, as its state is in doubt."""
        if self._connection is None:
            self._connection = self._connect()
            with self._session(f"set up to {what}") as connection:
                connection.execute((WRITING_SESSION + LOCK_ORDER).encode())
        try:
            with translated(what), locks_named(self._connection, self._table, what, effects):
                yield self._connection
        except Unavailable:
            self.close()
            raise

    def close(self) -> None:
        """End the session, and with it the lock."""
        connection, self._connection, self._locked, self._server = self._connection, None, False, None
        if connection is not None:
            connection.close()

    def lock(self) -> Lock:
        """Take the session-level advisory lock, once a session."""
        if self._locked:
            return Lock.HELD
        if self._server is None:  # once: a promotion ends every session that could write
            with self._session(ASKED) as connection:
                self._server = ask_server(connection)
        with self._session("take the leader lock") as connection:
            row = connection.execute(TRY_LOCK, [self._lock_name]).fetchone()
            self._locked = row is not None and row[0]
            if self._locked:
                self._leader_pid = connection.info.backend_pid
        return Lock.TAKEN if self._locked else Lock.REFUSED

    def holder(self) -> str | None:
        """Look the lock up in pg_locks.

        Raises `Unavailable` where it is our own former session, which the server has not ended.
        """
        with self._session("look who holds the leader lock") as connection:
            row = connection.execute(HOLDER, [self._lock_name]).fetchone()
        if row is None:
            return None
        if row[1] == self._leader_pid and not self._locked:
            raise Unavailable(FORMER.format(row[1]), server="PostgreSQL", cause="FormerSession")
        name, _ = unpack_outage(row[0], "Redis")
        since = f", since {row[2]:%Y-%m-%d %H:%M:%S%z}" if row[2] else ""  # hidden from other roles than its own
        return f"{name}, PostgreSQL session {row[1]}{since}"

    def show_outage(self, outage: Outage | None) -> None:
        """Put it into the session's application_name, if there is a session."""
        if self._connection is not None:
            name = self._connection.info.get_parameters().get("application_name", "")
            text = name if outage is None else pack_outage(name, outage, LONGEST_NAME)
            with self._session("name the session") as connection:
                connection.execute("SELECT set_config('application_name', %s, false)", [text])

    def outage(self) -> tuple[str, Outage | None]:
        """Who holds the leader lock, empty for nobody, and what it waits for."""
        with self._session("look who holds the leader lock") as connection:
            row = connection.execute(HOLDER, [self._lock_name]).fetchone()
        return unpack_outage(row[0] if row else "", "Redis")

    def now(self) -> str:
        """PostgreSQL's time, as the session's settings write it."""
        with self._session("ask for the time") as connection:
            row = connection.execute(NOW).fetchone()
        return str(row[0]) if row else ""

    def find(self, game_ids: Collection[str]) -> Sequence[Stored]:
        """Load rows by primary key."""
        with self._session("load rows") as connection:
            return _stored(rows_of(connection, self._find, list(game_ids)))

    def changed_since(self, at: str, after: Stored | None, limit: int) -> Sequence[Stored]:
        """Load a page of the rows that changed after `at`; reads the whole table."""
        last_at, last_game = (after.updated_at, after.game_id) if after else (at, "")
        page = CHANGED_SINCE.format(stored=self._stored, at=at, last_at=last_at, last_game=last_game, limit=limit)
        with self._session("load changed rows") as connection:
            cursor = connection.execute(READ_WHOLE_TABLE + page)
            cursor.nextset()
            return _stored(cursor)

    def write(self, effects: Sequence[NetEffect], since: str, meanwhile: Meanwhile = nothing) -> Wrote:
        """Write all effects in one statement that is its own transaction."""
        if not effects:
            return Wrote("", {})
        with self._session("write rows", effects) as connection:
            try:
                found = self._send(connection, effects, since, meanwhile)
            except psycopg.Error as error:
                if (refusal := refusal_of(error)) is None:
                    raise
                return Wrote("", {}, refusal=refusal)
            written = {game: Written(before, Row(*row), own_at) for _, game, before, own_at, *row in found}
            missing = [each.game_id for each in effects if each.game_id not in written]
            skipped = self._known(connection, missing) if missing else ()
        return Wrote(found[0][0] if found else "", written, skipped)

    def _known(self, connection: Connection, game_ids: list[str]) -> set[str]:
        return {row[0] for row in rows_of(connection, self._find, game_ids)}

    def _send(
        self, connection: Connection, effects: Sequence[NetEffect], since: str, meanwhile: Meanwhile = nothing
    ) -> list[tuple[Any, ...]]:
        query = self._write.of(connection.info.server_version)
        try:
            with connection.busy_with(meanwhile):
                return connection.execute(query, {"changes": encode(effects).decode(), "since": since}).fetchall()
        except psycopg.errors.UntranslatableCharacter:
            # By a game whose ID the database's encoding cannot hold, which has no row; by anything else, again.
            known = self._known(connection, [each.game_id for each in effects])
            held = [each for each in effects if each.game_id in known]
            if len(held) == len(effects):
                raise
            return self._send(connection, held, since) if held else []

    def keep_alive(self) -> None:
        """Send the shortest of statements, if there is a session to keep."""
        if self._connection is not None:
            with self._session("keep the session alive") as connection:
                connection.execute("SELECT 1")


def _stored(rows: Iterable[tuple[Any, ...]]) -> list[Stored]:
    return [Stored(game_id, Row(*row), updated_at, ms) for game_id, updated_at, ms, *row in rows]
