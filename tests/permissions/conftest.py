"""Fixtures: what each kind of user can reach, and gmhealth under each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import psycopg
import pytest
import redis

from tests.e2e.conftest import Gmhealth, over  # noqa: F401  # a fixture
from tests.permissions.least import as_postgres_login, as_redis_user, postgres_logins, redis_users

Under = Callable[[str, str], Gmhealth]


@pytest.fixture
def redis_names(redis_client: redis.Redis) -> Iterator[dict[str, str]]:
    with redis_users(redis_client) as names:
        yield names


@pytest.fixture
def logins(pg: psycopg.Connection) -> Iterator[dict[str, str]]:
    with postgres_logins(pg) as names:
        yield names


@pytest.fixture
def under(
    over: Callable[[Mapping[str, str]], Gmhealth],  # noqa: F811
    redis_url: str,
    postgres_dsn: str,
    redis_names: dict[str, str],
    logins: dict[str, str],
) -> Under:
    """Makes a `gmhealth` of a Redis user and a PostgreSQL role of those files."""

    def make(user: str, role: str) -> Gmhealth:
        return over(
            {
                "GMHEALTH_REDIS_URL": as_redis_user(redis_url, redis_names[user]),
                "GMHEALTH_POSTGRES_DSN": as_postgres_login(postgres_dsn, logins[role]),
            }
        )

    return make


@pytest.fixture
def gmhealth(under: Under) -> Gmhealth:
    """The daemon's: what the end-to-end suite runs under here."""
    return under("gmhealth-consume", "gmhealth_write")


@pytest.fixture
def oncall(under: Under) -> Gmhealth:
    return under("gmhealth-oncall", "gmhealth_write")


@pytest.fixture
def reader(under: Under) -> Gmhealth:
    return under("gmhealth-read", "gmhealth_read")
