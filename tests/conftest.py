"""Fixtures for every test: a clean environment, and a Redis and a PostgreSQL database of its own."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests import servers

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis


# A suite that was started in the background has SIGINT ignored, and so would every process that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("GMHEALTH_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def shared_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    base = tmp_path_factory.getbasetemp()
    run = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with servers.shared_servers(run / "servers") as addresses:
        yield addresses


@pytest.fixture(scope="session")
def redis_databases(shared_servers: tuple[str, str]) -> Iterator[str]:
    return servers.redis_databases(shared_servers[0])


@pytest.fixture(scope="session")
def postgres_admin(shared_servers: tuple[str, str]) -> Iterator[psycopg.Connection]:
    with psycopg.connect(shared_servers[1], autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="session")
def postgres_template(shared_servers: tuple[str, str], postgres_admin: psycopg.Connection) -> Iterator[str]:
    with servers.template_database(postgres_admin, shared_servers[1]) as name:
        yield name


@pytest.fixture
def redis_url(redis_databases: Iterator[str]) -> str:
    """An empty logical database."""
    url = next(redis_databases)
    with servers.connect_redis(url) as client:
        client.flushdb()
    return url


@pytest.fixture
def postgres_dsn(
    shared_servers: tuple[str, str], postgres_admin: psycopg.Connection, postgres_template: str
) -> Iterator[str]:
    """A database with an empty table `runtime_records`."""
    with servers.new_postgres_database(postgres_admin, shared_servers[1], template=postgres_template) as dsn:
        yield dsn


@pytest.fixture
def redis_client(redis_url: str) -> Iterator[redis.Redis]:
    with servers.connect_redis(redis_url) as client:
        yield client


@pytest.fixture
def pg(postgres_dsn: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        yield connection
