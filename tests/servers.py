"""The servers that tests run against: one Redis and one PostgreSQL, shared by all workers of a run.

They are the embedded ones, or those that GMHEALTH_TEST_REDIS_URL and GMHEALTH_TEST_POSTGRES_DSN name: empty
servers, where tests flush logical databases and create and drop databases.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode
from uuid import uuid4

import psycopg
import redis
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier
from redis.backoff import NoBackoff
from redis.retry import Retry

from gmhealth.embedded import embedded_servers, prepare

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Read before the tests begin: they run without any GMHEALTH_ variable.
REDIS_URL = os.environ.get("GMHEALTH_TEST_REDIS_URL", "")
POSTGRES_DSN = os.environ.get("GMHEALTH_TEST_POSTGRES_DSN", "")

REDIS_OPTIONS = {"databases": "1024"}
HELD = "gmhealth:tests:database:{}"
POSTGRES_OPTIONS = {"fsync": "off"}  # these data outlive no test


@contextmanager
def shared_servers(directory: Path) -> Iterator[tuple[str, str]]:
    """Gives the Redis URL and the PostgreSQL DSN; every worker names the same directory, the first one starts."""
    if REDIS_URL and POSTGRES_DSN:
        yield REDIS_URL, POSTGRES_DSN
        return
    options = {"redis_options": REDIS_OPTIONS, "postgres_options": POSTGRES_OPTIONS}
    with embedded_servers(directory, **options) as servers:
        yield REDIS_URL or servers.redis_url, POSTGRES_DSN or servers.postgres_dsn


def connect_redis(url: str) -> redis.Redis:
    """Connects as bytes in, bytes out, and fails at once."""
    return redis.Redis.from_url(url, protocol=2, socket_timeout=10, retry=Retry(NoBackoff(), 0))


def redis_databases(url: str) -> Iterator[str]:
    """Gives the addresses of logical databases, in turn and without end; the turn is the server's, not a worker's.

    The number of a worker tells nothing: one that replaces a crashed worker has a number beyond the count of workers.
    """
    with connect_redis(_in_database(url, 0)) as client:
        count = int(client.config_get("databases")["databases"])
    held = 0
    while True:
        with connect_redis(_in_database(url, 0)) as client:
            client.delete(HELD.format(held))
            held = _hold_database(client, count)
        yield _in_database(url, held)


def counts_entries(url: str) -> bool:
    """Tells whether the server counts what was ever added to a stream, as Valkey and Redis 7.0 do."""
    key = f"gmhealth:tests:stream:{uuid4().hex}"
    with connect_redis(_in_database(url, 0)) as client:
        client.execute_command("XADD", key, "*", "name", "value")
        facts = client.execute_command("XINFO", "STREAM", key)
        client.delete(key)
    return b"entries-added" in facts


def _hold_database(client: redis.Redis, count: int) -> int:
    """Take the next one that no test uses; of a worker that crashed it is free again after a while."""
    for _ in range(count):
        turn: int = client.execute_command("INCR", "gmhealth:tests:database")
        number = 1 + (turn - 1) % (count - 1)
        if client.set(HELD.format(number), os.getpid(), nx=True, ex=900):
            return number
    raise AssertionError(f"none of {count} Redis databases is free")


@contextmanager
def new_postgres_database(
    admin: psycopg.Connection, dsn: str, *, template: str = "template1", encoding: str = ""
) -> Iterator[str]:
    """Gives the DSN of a database of its own, which is dropped afterwards, whoever is still connected to it.

    Another `encoding` than the server's needs `template0`.
    """
    name = f"gmhealth_test_{uuid4().hex}"
    encoded = SQL(" ENCODING {} LC_COLLATE 'C' LC_CTYPE 'C'").format(encoding) if encoding else SQL("")
    if encoding and admin.info.server_version >= 150000:  # the embedded server's own provider knows UTF-8 alone
        encoded += SQL(" LOCALE_PROVIDER libc")
    admin.execute(SQL("CREATE DATABASE {} TEMPLATE {}{}").format(Identifier(name), Identifier(template), encoded))
    try:
        yield make_conninfo(dsn, dbname=name)
    finally:
        admin.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


@contextmanager
def template_database(admin: psycopg.Connection, dsn: str) -> Iterator[str]:
    """Gives the name of a database that has the development table without its games."""
    with new_postgres_database(admin, dsn) as template_dsn:
        prepare(template_dsn)
        with psycopg.connect(template_dsn) as connection:
            connection.execute("TRUNCATE runtime_records")
            name = connection.info.dbname
        yield name


def _in_database(url: str, number: int) -> str:
    address, _, query = url.partition("?")
    return f"{address}?{urlencode({**dict(parse_qsl(query)), 'db': str(number)})}"
