"""Connecting to PostgreSQL, and what its errors mean (design 3.3)."""

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

from gmhealth.errors import ConfigError, GmhealthError, Unavailable, Unusable
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

TRANSIENT_SQLSTATES: Final = (
    "08",  # connection exception
    "25006",  # read-only transaction: this is no longer the primary
    "25P03",  # idle in transaction for too long: we were frozen
    "25P04",  # transaction for too long
    "40",  # serialization failure, deadlock
    "53",  # insufficient resources: connections, memory, disk
    "55006",  # object in use
    "55P03",  # lock not available
    "57",  # admin shutdown, crash, starting up, cancelled, idle session
    "58",  # system error outside PostgreSQL
)
"""SQLSTATEs, or their first characters, that may pass. None at all means that the connection is gone."""

STALE_PLAN: Final = "RevalidateCachedQuery"
"""Where PostgreSQL says, in whatever language, that what this session has prepared was for a column's old type. It says
so as 0A000, as of what it cannot do at all; a new session can.
"""

PERMANENT_CONNECT: Final[Mapping[str, str]] = {
    "password authentication failed": "check the user and the password of GMHEALTH_POSTGRES_DSN",
    "no password supplied": "put the password into GMHEALTH_POSTGRES_PASSWORD_FILE",
    "pg_hba.conf": "the server does not admit this user from here: its pg_hba.conf decides",
    "certificate": "check sslrootcert, sslcert and sslkey of GMHEALTH_POSTGRES_DSN",
    "is not permitted to log in": "make a login in this role, which has its grants: CREATE ROLE … LOGIN IN ROLE …",
    "permission denied for database": "GRANT CONNECT ON DATABASE … TO this user, or check the database in the DSN",
    "does not support SSL": "turn TLS on at the server, or check sslmode in GMHEALTH_POSTGRES_DSN",
    "does not exist": "check the user and the database of GMHEALTH_POSTGRES_DSN",
}
"""libpq gives no SQLSTATE for a refused connection, only words (libpq manual, PQerrorMessage), and the server's own in
its language (lc_messages). In another than English `consume` waits and repeats them, as for a server that is away.
"""

HINTS: Final[Mapping[str, str]] = {
    "42P01": "Game Master's migrations make this table: check database, search_path and GMHEALTH_POSTGRES_TABLE",
    "42703": "this table is not Game Master's: check GMHEALTH_POSTGRES_TABLE, or the version of its schema",
    "42501": 'grant this role what README, "Permissions", lists',
    "3F000": "check the schema in GMHEALTH_POSTGRES_TABLE",
}
ASK_TIMELINE: Final = "ask for its timeline"
NO_TIMELINE: Final = "does this service tell no timeline? GMHEALTH_RERUN_SECONDS=0 does without"
_HOST: Final = re.compile(r"^- (host: '[^']*', port: [^,]*|host: None, port: [^,]*, hostaddr: '[^']*')", re.MULTILINE)
"""What psycopg, which tries the hosts and their addresses in turn, puts before the failure of each of several."""
_PORTS: Final = re.compile("[0-9,]*")
T = TypeVar("T")
ASK_DOCTOR: Final = "`gmhealth doctor` looks at both servers"


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


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn the driver's errors, met while trying to do `what`, into ours."""
    try:
        yield
    except psycopg.Error as error:
        raise translate(error, what) from error


def translate(error: psycopg.Error, what: str) -> GmhealthError:
    """Decide whether `error` may pass, by its SQLSTATE: the one table for PostgreSQL."""
    text = error.diag.message_primary or " ".join(str(error).split()) or type(error).__name__
    if error.sqlstate is None:
        hint = _permanent(str(error))
        if hint:
            return Unusable(f"PostgreSQL refused to {what}: {text}", hint=hint)
    elif not error.sqlstate.startswith(TRANSIENT_SQLSTATES) and error.diag.source_function != STALE_PLAN:
        unsupported = error.sqlstate == "0A000" and what == ASK_TIMELINE
        return Unusable(
            f"PostgreSQL refused to {what}: {text} (SQLSTATE {error.sqlstate})",
            hint=NO_TIMELINE if unsupported else HINTS.get(error.sqlstate, ASK_DOCTOR),
        )
    cause = "Connection" if error.sqlstate is None else type(error).__name__
    return Unavailable(f"PostgreSQL could not {what}: {text}", hint=ASK_DOCTOR, server="PostgreSQL", cause=cause)


def _permanent(text: str) -> str:
    """The hint for what no waiting mends; empty if it may pass, as it may if one of several hosts is just away.

    A host that refuses us at one of its addresses refuses us, though it may not listen at the others.
    """
    _, *parts = _HOST.split(text)
    failures = dict.fromkeys(parts[::2], "") or {"": text}
    for host, failure in zip(parts[::2], parts[1::2], strict=True):
        failures[host] += failure
    hints = [_hint(failure) for failure in failures.values()]
    return hints[0] if all(hints) else ""


def _hint(failure: str) -> str:
    return next((hint for words, hint in PERMANENT_CONNECT.items() if words in failure), "")
