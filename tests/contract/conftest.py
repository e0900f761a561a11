"""The adapters, each over a server of the test's own databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import pytest
import redis

from gmhealth.adapters.postgres import connection as postgres_connection
from gmhealth.adapters.postgres.connection import Connection
from gmhealth.adapters.postgres.rows import PostgresRows
from gmhealth.adapters.redis import connection as redis_connection
from gmhealth.adapters.redis.ledger import RedisLedger
from gmhealth.adapters.redis.stream import RedisStream
from gmhealth.embedded import EmbeddedServers, embedded_servers
from tests.ledger_keys import KEYS
from tests.servers import connect_redis

RowsWith: TypeAlias = Callable[..., PostgresRows]


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    """The product's own client."""
    with redis_connection.connect(redis_url) as client:
        yield client


@pytest.fixture
def ledger(client: redis.Redis) -> RedisLedger:
    return RedisLedger(client, KEYS, dead_letter_limit=1000)


@pytest.fixture
def stream(client: redis.Redis) -> RedisStream:
    return RedisStream(client, "events", KEYS)


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """How long a row is waited for is for the machine to say."""
    monkeypatch.setattr(postgres_connection, "ANSWER_S", 60.0)


@pytest.fixture
def rows(postgres_dsn: str) -> Iterator[PostgresRows]:
    def connect() -> Connection:
        connection = postgres_connection.connect(postgres_dsn, password=None, application_name="the writer")
        connection.execute("SET lock_timeout = '60s'; SET statement_timeout = '60s'; SET idle_session_timeout = 0")
        return connection

    rows = PostgresRows(connect, table="runtime_records", lock_name="offset")
    yield rows
    rows.close()


@pytest.fixture
def other_rows(postgres_dsn: str) -> Iterator[PostgresRows]:
    """A second writer."""
    rows = PostgresRows(
        lambda: postgres_connection.connect(postgres_dsn, password=None, application_name="the other"),
        table="runtime_records",
        lock_name="offset",
    )
    yield rows
    rows.close()


@pytest.fixture
def rows_with(postgres_dsn: str) -> Iterator[RowsWith]:
    """Make rows whose session starts with some statements of its own."""
    made: list[PostgresRows] = []

    def rows_with(*statements: str, table: str = "runtime_records") -> PostgresRows:
        def session() -> Connection:
            connection = postgres_connection.connect(postgres_dsn, password=None, application_name="test")
            for statement in statements:
                connection.execute(statement.encode())
            return connection

        made.append(PostgresRows(session, table=table, lock_name="offset"))
        return made[-1]

    yield rows_with
    for rows in made:
        rows.close()


HBA = """
local all gmhealth trust
local all stranger reject
local all all      scram-sha-256
"""


@pytest.fixture(scope="module")
def own_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServers]:
    """Servers that nobody shares: their configuration may be changed. Roles other than `gmhealth` need a password."""
    directory = tmp_path_factory.mktemp("own")
    hba = directory / "hba"
    hba.write_text(HBA)
    hba.chmod(0o644)
    with embedded_servers(directory, postgres_options={"hba_file": str(hba), "fsync": "off"}) as servers:
        yield servers


@pytest.fixture
def admin(own_servers: EmbeddedServers) -> Iterator[redis.Redis]:
    """A server whose configuration may be changed; it is put back afterwards."""
    with connect_redis(own_servers.redis_url) as admin:
        before = admin.config_get("*")
        yield admin
        admin.execute_command("REPLICAOF", "NO", "ONE")
        for name, value in admin.config_get("*").items():
            if value != before[name]:
                admin.config_set(name, before[name])
        admin.flushall()
