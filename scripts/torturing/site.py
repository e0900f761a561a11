"""The servers of one lane: a Valkey and a PostgreSQL of its own, which can be killed and started again."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeVar

import psycopg
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from gmhealth.embedded import server
from gmhealth.embedded.files import POSTGRES_SOCKET, make_private, socket_directory
from gmhealth.embedded.postgres import Postgres
from gmhealth.embedded.valkey import Valkey
from gmhealth.errors import GmhealthError

REDIS_OPTIONS: Final = {
    "appendfsync": "always",  # what was acknowledged survives a kill -9, so that what must be there is certain
    "auto-aof-rewrite-percentage": "0",  # the file is the record of all that happened
}
POSTGRES_OPTIONS: Final = {
    "deadlock_timeout": "100ms",  # a deadlock in a tenth of the time
    "max_connections": "30",
    "shared_buffers": "16MB",
    "synchronous_commit": "off",  # a crash loses the commits of whoever does not switch it on
    "wal_writer_delay": "10s",  # the most; so long nobody else makes them durable
}
DURABLE: Final = "-c synchronous_commit=on"
"""An option of the sessions that are not under test."""
PATIENCE_S: Final = 60.0
FILLER: Final = 3000
LOADS_S: Final = 0.3

Value = TypeVar("Value")


class Stuck(Exception):
    """What had to happen did not."""


def until(look: Callable[[], Value | None], what: str, *, within_s: float = PATIENCE_S) -> Value:
    """Look again and again until there is something true to see; raises `Stuck`."""
    deadline = time.monotonic() + within_s
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise Stuck(f"{what}: not within {within_s:g} s")
        time.sleep(0.005)
    return seen


@dataclass(slots=True)
class Site:
    """Both servers, and the harness's own way to them, past the proxy."""

    directory: Path
    valkey: Valkey
    postgres: Postgres
    redis: redis.Redis
    _session: psycopg.Connection[Any] | None = field(default=None)

    @property
    def redis_socket(self) -> str:
        """Where Valkey listens."""
        return os.fspath(self.valkey.sockets / "valkey.sock")

    @property
    def postgres_socket(self) -> str:
        """Where PostgreSQL listens."""
        return os.fspath(self.postgres.sockets / POSTGRES_SOCKET)

    @property
    def aof(self) -> Path:
        """The file in which Valkey keeps every write, in order."""
        return self.valkey.directory / "appendonlydir" / "appendonly.aof.1.incr.aof"

    def ask(self, *command: Any) -> Any:
        """Send a command to Valkey until it answers; for commands that may be repeated."""

        def answer() -> tuple[Any] | None:
            with suppress(redis.RedisError):
                return (self.redis.execute_command(*command),)
            return None

        return until(answer, f"Valkey does not answer {command[0]}")[0]

    def query(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a statement until it succeeds; for statements that may be repeated."""

        def answer() -> tuple[list[tuple[Any, ...]]] | None:
            try:
                if self._session is None:
                    self._session = psycopg.connect(
                        self.postgres.dsn, autocommit=True, application_name="harness", options=DURABLE
                    )
                cursor = self._session.execute(statement, parameters or None)
                return (cursor.fetchall() if cursor.description else [],)
            except psycopg.OperationalError:
                self.disconnect()
                return None

        return until(answer, f"PostgreSQL does not answer {statement}")[0]

    def disconnect(self) -> None:
        """Close the harness's session."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def kill_valkey(self) -> None:
        """`kill -9`."""
        os.kill(int(self.ask("INFO", "server")["process_id"]), signal.SIGKILL)

    def start_valkey(self, **options: str) -> None:
        """Start it again on the data it left."""
        server.start_together(replace(self.valkey, options={**self.valkey.options, **options}))

    def start_valkey_slowly(self) -> None:
        """The same, with a pause at some of the commands that it loads: about `LOADS_S` in all."""
        commands = self.aof.read_bytes().count(b"\r\n*")
        # A negative delay is one microsecond at every so many commands, which take the system some sixty.
        self.start_valkey(**{"key-load-delay": str(-max(2, int(commands * 60e-6 / LOADS_S)))})
        self.ask("CONFIG", "SET", "key-load-delay", "0")

    def kill_postmaster(self) -> None:
        """`kill -9` for the parent of all sessions, which end by themselves then."""
        _signal_postmaster(self.postgres, signal.SIGKILL)

    def start_postgres(self) -> None:
        """Start it again on the data it left."""
        server.start_together(self.postgres)


@contextmanager
def site(directory: Path) -> Iterator[Site]:
    """Start both servers in a directory, and end them."""
    sockets = socket_directory(directory)
    directory.mkdir(mode=0o700, exist_ok=True)
    make_private(sockets)
    valkey = Valkey(directory / "valkey", sockets, REDIS_OPTIONS)
    postgres = Postgres(directory / "postgres", sockets, POSTGRES_OPTIONS)
    with ExitStack() as stack:
        stack.callback(_end, valkey, postgres)
        server.start_together(valkey, postgres)
        postgres.provide_database()
        client = redis.Redis.from_url(valkey.url, protocol=2, socket_timeout=10, retry=Retry(NoBackoff(), 0))
        found = Site(directory, valkey, postgres, stack.enter_context(client))
        stack.callback(found.disconnect)
        with client.pipeline(transaction=False) as pipeline:
            for _ in range(FILLER):  # so that there is something to load
                pipeline.incr("filler")
            pipeline.execute()
        yield found


def _signal_postmaster(postgres: Postgres, number: signal.Signals) -> None:
    text = (postgres.directory / "data" / "postmaster.pid").read_text(encoding="utf-8")
    os.kill(int(text.split()[0]), number)


def _end(valkey: Valkey, postgres: Postgres) -> None:
    with suppress(OSError):  # at once: the checkpoint of an orderly end can take a busy machine longer than we wait
        _signal_postmaster(postgres, signal.SIGQUIT)
    with suppress(GmhealthError):
        server.stop_together(valkey, postgres)
    with suppress(OSError):
        valkey.sockets.rmdir()
