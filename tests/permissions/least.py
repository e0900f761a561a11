"""The users and roles of `scripts/`, made on the test's servers under names of this test's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import redis
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

SCRIPTS = Path(__file__).parents[2] / "scripts"
ACL = SCRIPTS / "redis" / "users.acl"
ROLES = SCRIPTS / "sql" / "role.sql"
PASSWORD = "canary/of?this@test:"
"""Has every character that means something in a URL."""


@contextmanager
def redis_users(client: redis.Redis) -> Iterator[dict[str, str]]:
    """Make the users of `users.acl`; yields their names, by what they are in that file."""
    made = {}
    try:
        for line in ACL.read_text(encoding="utf-8").splitlines():
            word, name, *rules = line.split()
            assert word == "user"
            made[name] = f"{name}-{uuid4().hex}"
            client.execute_command("ACL", "SETUSER", made[name], *_joined(rules), f">{PASSWORD}")
        yield made
    finally:
        client.execute_command("ACL", "DELUSER", *made.values())


def _joined(rules: list[str]) -> list[str]:
    """A selector in parentheses is one argument of ACL SETUSER, and several words of a file."""
    joined: list[str] = []
    for rule in rules:
        if joined and joined[-1].startswith("(") and not joined[-1].endswith(")"):
            joined[-1] += f" {rule}"
        else:
            joined.append(rule)
    return joined


@contextmanager
def postgres_logins(pg: psycopg.Connection) -> Iterator[dict[str, str]]:
    """Run `role.sql` and make a login for each role; yields the logins by role."""
    suffix = uuid4().hex
    roles = {name: f"{name}_{suffix}" for name in ("gmhealth_read", "gmhealth_write")}
    script = ROLES.read_text(encoding="utf-8")
    for name, own in roles.items():
        script = script.replace(name, own)
    logins = {name: f"login_{own}" for name, own in roles.items()}
    try:
        pg.execute(script.encode())
        for name, login in logins.items():
            pg.execute(SQL("CREATE ROLE {} LOGIN IN ROLE {}").format(Identifier(login), Identifier(roles[name])))
        yield logins
    finally:
        for each in (*logins.values(), *reversed(roles.values())):
            pg.execute(SQL("DROP OWNED BY {}").format(Identifier(each)))
            pg.execute(SQL("DROP ROLE {}").format(Identifier(each)))


def as_redis_user(url: str, name: str) -> str:
    """`url` with this user and `PASSWORD`."""
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    user = f"{quote(name, safe='')}:{quote(PASSWORD, safe='')}"
    query = urlencode(dict(parse_qsl(parts.query)))
    return urlunsplit((parts.scheme, f"{user}@{place}", parts.path, query, ""))


def as_postgres_login(dsn: str, login: str) -> str:
    """`dsn` with this login; the servers of the tests trust it."""
    return make_conninfo(dsn, user=login)
