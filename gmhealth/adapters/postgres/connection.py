"""Connecting to PostgreSQL, so that nothing hangs for long."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import psycopg
from psycopg import conninfo, sql
from psycopg.abc import PQGen
from psycopg.waiting import Wait

from gmhealth.adapters.postgres.address import read_dsn
from gmhealth.adapters.postgres.errors import translated
from gmhealth.errors import ConfigError
from gmhealth.worker.ports import Meanwhile

ANSWER_S: Final = 6.0
"""No answer for so long means that the connection is gone; a silent peer that keeps it open trips no other time-out.

More than `statement_timeout`, so that a server that can still talk says itself what is wrong.
"""

SESSION: Final = """
SET lock_timeout = '1s';
SET statement_timeout = '5s';
SET idle_session_timeout = '3s';
SET idle_in_transaction_session_timeout = '3s';
SET client_min_messages = 'error';
-- Others would fail where another writer comes in between, instead of looking at the row again.
SET default_transaction_isolation = 'read committed';
"""
"""`idle_session_timeout`: a frozen process loses its session, and with it the leader lock (design 3.4)."""

DEFAULTS: Final[Mapping[str, str | int]] = {
    "connect_timeout": 3,
    "target_session_attrs": "read-write",
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 2,
    "tcp_user_timeout": 5000,
}

T = TypeVar("T")


class Connection(psycopg.Connection[tuple[Any, ...]]):
    """A connection on which no wait outlasts `ANSWER_S`, and that can do something else meanwhile."""

    _meanwhile: Meanwhile | None = None

    @contextmanager
    def busy_with(self, meanwhile: Meanwhile) -> Iterator[None]:
        """Have the statement in this block do `meanwhile` while its answer is waited for."""
        self._meanwhile = meanwhile
        try:
            yield
        finally:
            self._meanwhile = None

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait as psycopg does, with our time-out where the caller gave none."""
        if self._meanwhile is not None:
            gen, self._meanwhile = _interposed(gen, self._meanwhile), None
        try:
            return super().wait(gen, interval, ANSWER_S if timeout is None else timeout)
        except psycopg.errors._WaitTimeout as error:  # noqa: SLF001  # psycopg raises it, under this name only
            self.close()
            raise psycopg.OperationalError(f"no answer for {ANSWER_S:g} seconds") from error


def _interposed(gen: PQGen[T], meanwhile: Meanwhile) -> PQGen[T]:
    """`gen`, which calls `meanwhile` the first time that it waits to read: all it has to send has left by then."""
    done = False
    try:
        wanted = next(gen)
        while True:
            if wanted == Wait.R and not done:
                done = True
                meanwhile()
            wanted = gen.send((yield wanted))
    except StopIteration as end:
        result: T = end.value
        return result


def connect(dsn: str, *, password: str | None, application_name: str) -> Connection:
    """Open a session in autocommit, with time-outs for each way it can hang. Raises as `translated` says."""
    given = read_dsn(dsn)
    # Any other encoding, of whoever's making, would have texts come as bytes, which are then no game's, or none leave.
    options = {**DEFAULTS, **given, "application_name": application_name, "client_encoding": "UTF8"}
    if password is not None:
        options["password"] = password
    with translated("connect"):
        connection = _open(conninfo.make_conninfo("", **options))
        connection.execute(SESSION)
    return connection


def _open(dsn: str) -> Connection:
    """Connect, and leave no socket open where that takes too long."""
    try:
        return Connection.connect(dsn, autocommit=True)
    except UnicodeError as error:  # of a host that the DSN does not name
        raise ConfigError(
            "the name of the PostgreSQL host cannot be looked up: a part of it is empty or too long",
            hint="check PGHOST",
        ) from error
    except psycopg.errors.ConnectionTimeout as error:
        text = str(error)
    # psycopg keeps the attempt's socket in a reference cycle with the error, which is gone only here; garbage is
    # collected seldom (`bootstrap`), and an outage of a day would be thousands of sockets, each perhaps a session.
    gc.collect()
    raise psycopg.errors.ConnectionTimeout(text)


def rows_of(connection: Connection, query: sql.Composed, game_ids: Sequence[str]) -> list[tuple[Any, ...]]:
    """What `query` finds for `game_ids`, its one value.

    A game whose ID the database's encoding cannot hold has no row in it, and is no reason to give the others up: half
    by half it is found and left out.
    """
    try:
        return connection.execute(query, [list(game_ids)]).fetchall()
    except psycopg.errors.UntranslatableCharacter:
        if len(game_ids) == 1:
            return []
        half = len(game_ids) // 2
        return rows_of(connection, query, game_ids[:half]) + rows_of(connection, query, game_ids[half:])
