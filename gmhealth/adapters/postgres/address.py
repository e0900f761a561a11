"""What the DSN says, checked before anything is sent, and how a database is named without its secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import zip_longest
from typing import Any, Final

import psycopg
from psycopg import conninfo
from psycopg.pq import Conninfo

from gmhealth.core.text import is_host
from gmhealth.errors import ConfigError

_PORTS: Final = re.compile("[0-9,]*")


def read_dsn(dsn: str) -> Mapping[str, Any]:
    """Split `dsn` into libpq's options. Raises `ConfigError` without showing any of it."""
    given = _split(dsn)
    if given is None:
        raise ConfigError(
            "the PostgreSQL DSN cannot be read (it is not shown: it may hold a password)",
            hint="write it as postgresql://user@host:5432/database; a password percent-encoded",
        )
    return given


def describe(dsn: str) -> str:
    """Name the database of `dsn` without its secrets, as `user@host:port/database`; several hosts as `a:1,b:2`."""
    read = _split(dsn)
    if read is None:
        return "an unreadable DSN"
    user = f"{read['user']}@" if read.get("user") else ""
    if read.get("service") and not (read.get("host") or read.get("hostaddr")):
        # Its file decides the rest, before the environment does (libpq manual, "The Connection Service File").
        return f"{user}service {read['service']}" + (f"/{read['dbname']}" if read.get("dbname") else "")
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


def _split(dsn: str) -> Mapping[str, Any] | None:
    """Split `dsn`; None if it cannot be, or if a part of a password seems to have come out as something else."""
    try:
        given = conninfo.conninfo_to_dict(dsn)
    except (psycopg.ProgrammingError, UnicodeError):
        return None
    hosts = str(given.get("host", "")).split(",")
    looked_up = [host for host in hosts if not host.startswith("/")]
    return given if all(map(is_host, looked_up)) and not _is_astray(dsn, given) else None


def _is_astray(dsn: str, given: Mapping[str, Any]) -> bool:
    """Whether a URI's password seems to hold "@", at the first of which libpq ends it, or "/", which ends the host.

    What comes after them is then taken for the host, for the port or for the database.
    """
    if not dsn.startswith(("postgresql://", "postgres://")):
        return False
    authority = dsn.partition("://")[2].partition("/")[0]
    host = authority.partition("@")[2].partition("?")[0]  # "?" before the "@" belongs to the password
    return "@" in host or "@" in str(given.get("dbname")) or not _PORTS.fullmatch(str(given.get("port", "")))
