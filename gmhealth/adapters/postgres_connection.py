"""Connecting to PostgreSQL, and how a database is named without its secrets."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from typing import Any, Final, TypeVar

import psycopg
from psycopg import conninfo, sql
from psycopg.abc import PQGen
from psycopg.pq import Conninfo
from psycopg.waiting import Wait

from gmhealth.adapters.postgres_errors import translated
from gmhealth.errors import ConfigError
from gmhealth.ports import Meanwhile

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
-- Changes are then looked up by primary key one after the other, in the order they are sent: the lock order.
SET enable_hashjoin = off;
SET enable_mergejoin = off;
-- Planning anew for each batch costs more than the statement, and comes to the same plan.
SET plan_cache_mode = force_generic_plan;
"""
"""`idle_session_timeout`: a frozen process loses its session, and with it the writer's lock (design 3.4)."""

DEFAULTS: Final[Mapping[str, str | int]] = {
    "connect_timeout": 3,
    "target_session_attrs": "read-write",
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 2,
    "tcp_user_timeout": 5000,
}

_PORTS: Final = re.compile("[0-9,]*")
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
    given = _read(dsn)
    if given is None:
        raise ConfigError(
            "the PostgreSQL DSN cannot be read (it is not shown: it may hold a password)",
            hint="write it as postgresql://user@host:5432/database; a password percent-encoded",
        )
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


def describe(dsn: str) -> str:
    """Name the database of `dsn` without its secrets, as `user@host:port/database`; several hosts as `a:1,b:2`."""
    read = _read(dsn)
    if read is None:
        return "an unreadable DSN"
    given = {**_surroundings(read), **read}
    hosts = str(given.get("host") or given.get("hostaddr") or "").split(",")
    ports = str(given.get("port") or "").split(",")
    ports = ports * len(hosts) if len(ports) == 1 else ports  # one port is every host's (libpq manual, 32.1.1.3)
    places = ",".join(_place(host, port) for host, port in zip_longest(hosts, ports, fillvalue=""))
    user = f"{given['user']}@" if given.get("user") else ""
    return f"{user}{places}/{given.get('dbname') or given.get('user', '')}"


def _surroundings(given: Mapping[str, Any]) -> Mapping[str, str]:
    """What libpq takes from the environment, a service or the system for what is not `given`."""
    found = {option.keyword.decode(): option for option in Conninfo.get_defaults()}
    names = {"user", "port", "dbname"} | (set() if given.get("hostaddr") else {"host", "hostaddr"})
    values = ((name, found[name].val) for name in names if found[name].val != found[name].compiled)
    return {name: value.decode(errors="replace") for name, value in values if value}


def _place(host: str, port: str) -> str:
    shown = f"[{host}]" if ":" in host else host or "local socket"
    return shown if host.startswith("/") or not port else f"{shown}:{port}"


def _read(dsn: str) -> Mapping[str, Any] | None:
    """Split `dsn`; None if it cannot be, or if a part of a password seems to have come out as something else."""
    try:
        given = conninfo.conninfo_to_dict(dsn)
        for host in str(given.get("host", "")).split(","):
            if not host.startswith("/"):
                host.encode("idna")  # as Python does to look a name up, where the error would be nobody's
    except (psycopg.ProgrammingError, UnicodeError):
        return None
    return None if _is_astray(dsn, given) else given


def _is_astray(dsn: str, given: Mapping[str, Any]) -> bool:
    """Whether a URI's password seems to hold "@", at the first of which libpq ends it, or "/", which ends the host.

    What comes after them is then taken for the host, for the port or for the database.
    """
    if not dsn.startswith(("postgresql://", "postgres://")):
        return False
    authority = dsn.partition("://")[2].partition("/")[0]
    host = authority.partition("@")[2].partition("?")[0]  # "?" before the "@" belongs to the password
    return "@" in host or "@" in str(given.get("dbname")) or not _PORTS.fullmatch(str(given.get("port", "")))
