"""Fixtures for every test: a clean environment, and a Redis and a PostgreSQL database of its own."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import replace
from types import FrameType
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from hypothesis import settings as hypothesis_settings

from gmhealth.adapters.redis.stream import RedisStream
from tests import servers

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis


# A suite that was started in the background or by nohup has one of them ignored, and so would every process that a
# test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Here, as it has to come before any module with examples is imported. How long one takes says something about the
# machine, not about the code; and new ones are looked for where CI is set, too, which Hypothesis takes for a reason
# to try the same ones again and again.
hypothesis_settings.register_profile("gmhealth", deadline=None, derandomize=False, print_blob=True)
hypothesis_settings.load_profile("gmhealth")

AGAIN_S = 30.0
"""After a test's time-out: until the next one, for what hangs as it cleans up."""


class TimedOut(BaseException):
    """A test's time is over. Hypothesis takes pytest's own `Failed` for a finding, and would try again, untimed."""


@pytest.hookimpl(tryfirst=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> bool | None:
    """As pytest-timeout's own, which expires once and with `Failed`; what this one cannot do is left to that one."""
    main = threading.current_thread() is threading.main_thread()
    if settings.method != "signal" or settings.func_only or not main:
        return None

    def expire(_number: int, _frame: FrameType | None) -> None:
        text = f"Timeout (>{settings.timeout:g}s)"
        if os.environ.get("PYTEST_CURRENT_TEST", "").endswith("(call)"):
            raise TimedOut(text)
        pytest.fail(text)  # pytest tears the other fixtures down after this, but not after a BaseException

    def start(first: float = settings.timeout) -> None:
        signal.signal(signal.SIGALRM, expire)
        signal.setitimer(signal.ITIMER_REAL, first, AGAIN_S)

    vars(item).update(cancel_timeout=lambda: signal.setitimer(signal.ITIMER_REAL, 0), start_timeout_again=start)
    start()
    return True


@pytest.hookimpl(trylast=True)
def pytest_exception_interact(node: pytest.Item | pytest.Collector) -> None:
    """Time the clean-up after a failure as well: pytest-timeout has stopped its timer here, for a debugger."""
    if start := vars(node).get("start_timeout_again"):
        start(AGAIN_S)


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
def entries_counted(shared_servers: tuple[str, str]) -> bool:
    """Whether the server counts what was ever added to a stream."""
    return servers.counts_entries(shared_servers[0])


@pytest.fixture(autouse=True)
def _redis_is_new_enough(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("since_redis_7") and not request.getfixturevalue("entries_counted"):
        pytest.skip("Redis before 7.0 counts no entries of a stream, and has less to say about permissions")


@pytest.fixture(params=[pytest.param(True, marks=pytest.mark.since_redis_7), False], ids=["counted", "not counted"])
def counted(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the server counts what was ever added to a stream; one that does can be taken for an older one."""
    if not request.param:
        state = RedisStream.state
        monkeypatch.setattr(RedisStream, "state", lambda stream: replace(state(stream), entries_added=None))
    return bool(request.param)


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
