"""What the reading commands see in PostgreSQL; nothing here writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime
from typing import Any, NamedTuple

from psycopg import sql

from gmhealth.adapters.postgres.connection import Connection, rows_of
from gmhealth.adapters.postgres.errors import translated

GAME = sql.SQL("""
SELECT status, current_turn, engine_health, updated_at, now()
  FROM {table}
 WHERE game_id = ANY (%s)
""")

COUNTS = sql.SQL("""
SELECT status, engine_health, count(*)
  FROM {table}
 GROUP BY status, engine_health
""")

# Finished and stopped games are past caring about; a game that was never reported on has an empty summary.
UNHEALTHY = sql.SQL("""
SELECT game_id, status, current_turn, engine_health, updated_at, count(*) OVER ()
  FROM {table}
 WHERE status = 'engine_unreachable'
    OR (engine_health NOT IN ('', 'healthy') AND status NOT IN ('stopped', 'finished'))
 ORDER BY status <> 'engine_unreachable', updated_at DESC
 LIMIT %s
""")

GAME_IDS = sql.SQL("""
SELECT game_id
  FROM {table}
 WHERE starts_with(game_id, %s)
 ORDER BY game_id
 LIMIT %s
""")


COLUMNS = sql.SQL("""
SELECT attname,
       format_type(atttypid, NULL),
       has_column_privilege(attrelid, attnum, 'SELECT'),
       has_column_privilege(attrelid, attnum, 'UPDATE')
  FROM pg_attribute
 WHERE attrelid = to_regclass(%s)
   AND attnum > 0
   AND NOT attisdropped
""")

PID = "SELECT pg_backend_pid()"


class Column(NamedTuple):
    """A column's type, and what this role may do with it."""

    type: str
    may_select: bool
    may_update: bool


class GameRow(NamedTuple):
    """A game's row as a person wants to see it."""

    game_id: str
    status: str
    current_turn: int
    engine_health: str
    updated_at: datetime


class PostgresQueries:
    """Looks at `table` over a session of its own: one a question, as a command may wait for a person in between."""

    def __init__(self, connect: Callable[[], Connection], table: str) -> None:
        self._connect = connect
        self._table = sql.Identifier(*table.split("."))
        self._held: Connection | None = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Ask what follows in one session; it must be used at least once a second (design 3.4)."""
        self._held = self._connect()
        try:
            yield
        finally:
            self._held.close()
            self._held = None

    @contextmanager
    def _session(self, what: str) -> Iterator[Connection]:
        connection = self._held or self._connect()
        try:
            with translated(what):
                yield connection
        finally:
            if connection is not self._held:
                connection.close()

    def _ask(self, what: str, query: sql.SQL, *values: Any) -> list[tuple[Any, ...]]:
        with self._session(what) as connection:
            return connection.execute(query.format(table=self._table), values).fetchall()

    def game(self, game_id: str) -> tuple[GameRow, datetime] | None:
        """One game's row and the server's time; None if there is no such game."""
        with self._session("load a row") as connection:
            rows = rows_of(connection, GAME.format(table=self._table), [game_id])
        return (GameRow(game_id, *rows[0][:4]), rows[0][4]) if rows else None

    def counts(self) -> Mapping[tuple[str, str], int]:
        """How many games have each pair of status and summary."""
        return {(status, summary): count for status, summary, count in self._ask("count games", COUNTS)}

    def unhealthy(self, limit: int) -> tuple[list[GameRow], int]:
        """Games that want a look, the unreachable and the latest first; up to `limit`, and how many there are."""
        rows = self._ask("look for unhealthy games", UNHEALTHY, max(limit, 1))  # the count comes with a row
        return [GameRow(*row[:5]) for row in rows[:limit]], rows[0][5] if rows else 0

    def game_ids(self, prefix: str, limit: int) -> list[str]:
        """Game IDs that begin with `prefix`, for completion."""
        return [row[0] for row in self._ask("list games", GAME_IDS, prefix, limit)]

    def columns(self) -> Mapping[str, Column]:
        """The table's columns with what this role may do; empty if there is no such table."""
        rows = self._ask("look at the table", COLUMNS, self._table.as_string())
        return {name: Column(*rest) for name, *rest in rows}

    def shares_sessions(self) -> bool:
        """Whether two sessions of ours are one at the server: a pooler in transaction mode hands it round."""
        with closing(self._connect()) as one, closing(self._connect()) as other, translated("ask for its session"):
            return bool(_only(one.execute(PID).fetchone()) == _only(other.execute(PID).fetchone()))

    def checks(self, questions: Mapping[str, str]) -> Mapping[str, Any]:
        """Ask one-valued questions in one session, by name (for `doctor`)."""
        with self._session("ask for its state") as connection:
            return {name: _only(connection.execute(query.encode()).fetchone()) for name, query in questions.items()}


def _only(row: tuple[Any, ...] | None) -> Any:
    return None if row is None else row[0]
