"""The embedded servers, and workloads on them, each in a database of its own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import psycopg
import redis
from psycopg import conninfo

from gmhealth.embedded import EmbeddedServers, embedded_servers, prepare
from scripts.benchmark.task import GROUP, HEALTH_STREAM, LOBBY_STREAM, Task
from scripts.benchmark.workload import Event, Workload, game_name

REDIS_OPTIONS: Final = {"auto-aof-rewrite-percentage": "0"}
"""No rewrite of the append-only file in the middle of somebody's round."""

COPY_ROWS: Final = """
COPY bench_rows (game_id, status, current_turn, engine_health, engine_endpoint, current_image_ref,
                 current_engine_version, turn_schedule, created_at, updated_at) FROM STDIN
"""
CHUNK: Final = 1000
PATIENCE_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Site:
    """A workload on the servers: a Redis database and a PostgreSQL database, and the bench's connections to them."""

    workload: Workload
    redis_url: str
    postgres_dsn: str
    redis: Any
    postgres: psycopg.Connection[Any]

    def load(self) -> None:
        """Put the rows aside (see `reset`) and the whole backlog on its stream."""
        self.redis.flushdb()
        for events in _chunks(self.workload.events()):
            pipeline = self.redis.pipeline(transaction=False)
            for event in events:
                pipeline.execute_command("XADD", HEALTH_STREAM, "*", *event.fields())
            pipeline.execute()
        self.postgres.execute("CREATE TABLE bench_rows (LIKE runtime_records INCLUDING DEFAULTS)")
        with self.postgres.cursor() as cursor, cursor.copy(COPY_ROWS) as copy:
            for game in range(self.workload.table_size):
                name = game_name(game)
                fixed = (f"http://{name}:8080", "galaxy/engine:1.4.2", "1.4.2", "0 18 * * *", "now", "now")
                copy.write_row((name, *self.workload.first_row(game), *fixed))

    def reset(self) -> None:
        """Undo a round: the rows and the backlog as they were, nothing sent, no offset, disks at rest."""
        for statement in (
            "TRUNCATE runtime_records",
            "INSERT INTO runtime_records SELECT * FROM bench_rows",
            "VACUUM ANALYZE runtime_records",
            "CHECKPOINT",
        ):
            self.postgres.execute(statement)
        for key in self.redis.scan_iter("g*"):
            self.redis.delete(key)
        self.redis.xgroup_create(HEALTH_STREAM, f"{GROUP}-new", id="0", mkstream=True)
        for group in self.redis.execute_command("XINFO GROUPS", HEALTH_STREAM):
            self.redis.xgroup_destroy(HEALTH_STREAM, group["name"])
        self.redis.xgroup_create(HEALTH_STREAM, GROUP, id="0")

    @property
    def settings(self) -> dict[str, str]:
        """Tell gmhealth where these servers are."""
        return {"GMHEALTH_REDIS_URL": self.redis_url, "GMHEALTH_POSTGRES_DSN": self.postgres_dsn}

    def task(self, entries: int | None = None, batch_size: int | None = None) -> Task:
        """Set the task of draining the first `entries` of the backlog, or all."""
        entries = left = min(entries or self.workload.entries, self.workload.entries)
        after = "-"
        while left > CHUNK:
            after = "(" + self._last_of_page(after, CHUNK)
            left -= CHUNK
        return Task(self.redis_url, self.postgres_dsn, self._last_of_page(after, left), entries, batch_size)

    def endless_task(self) -> Task:
        """Set the task of consuming for ever."""
        return Task(self.redis_url, self.postgres_dsn)

    def _last_of_page(self, first: str, count: int) -> str:
        entry_id: bytes = self.redis.xrange(HEALTH_STREAM, first, count=count)[-1][0]
        return entry_id.decode()

    def sent(self) -> Iterator[tuple[bytes, ...]]:
        """Give the snapshots on the lobby stream, as names and values in turn."""
        first = "-"
        while page := self.redis.xrange(LOBBY_STREAM, first, count=CHUNK):
            for _, fields in page:
                yield tuple(text for pair in fields.items() for text in pair)
            first = f"({page[-1][0].decode()}"


class Servers:
    """The embedded servers of one run; `site` gives each workload a place of its own on them."""

    def __init__(self, embedded: EmbeddedServers) -> None:
        self._embedded, self._used = embedded, 0
        self.versions = f"{embedded.redis_version}, {embedded.postgres_version}"

    def durability(self) -> str:
        """Say what PostgreSQL does before it answers a COMMIT."""
        with psycopg.connect(self._embedded.postgres_dsn) as connection:
            values = (connection.execute(f"SHOW {name}").fetchone() for name in ("fsync", "synchronous_commit"))
            fsync, commit = (value[0] if value else "?" for value in values)
        return f"fsync {fsync}, synchronous_commit {commit}"

    @contextmanager
    def site(self, workload: Workload) -> Iterator[Site]:
        """Load a workload, and take it off the servers at the end."""
        self._used += 1
        name, number = f"bench{self._used}", self._used % 16
        redis_url = self._embedded.redis_url.replace("db=0", f"db={number}")
        postgres_dsn = with_parts(self._embedded.postgres_dsn, dbname=name)
        with psycopg.connect(self._embedded.postgres_dsn, autocommit=True) as admin:
            admin.execute(f'CREATE DATABASE "{name}"')
            prepare(postgres_dsn)
            client = redis.Redis.from_url(redis_url, protocol=2, socket_timeout=PATIENCE_S)
            with client, psycopg.connect(postgres_dsn, autocommit=True) as postgres:
                place = Site(workload, redis_url, postgres_dsn, client, postgres)
                place.load()
                place.reset()
                yield place
                client.flushdb()
            admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@contextmanager
def servers() -> Iterator[Servers]:
    """Start both in a fresh directory on a disk, so that fsync costs what it costs."""
    directory = Path(tempfile.mkdtemp(prefix="gmhealth-bench-", dir="/var/tmp"))  # /tmp may be memory
    try:
        with embedded_servers(directory, redis_options=REDIS_OPTIONS) as embedded:
            yield Servers(embedded)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def through(site: Site, redis_url: str, postgres_dsn: str) -> Site:
    """Give the same site by another way, for the tasks it sets."""
    return replace(site, redis_url=redis_url, postgres_dsn=postgres_dsn)


def with_parts(dsn: str, **parts: str) -> str:
    """Change parts of a DSN; as a URI, since asyncpg takes nothing else."""
    given = conninfo.conninfo_to_dict(dsn, **parts)
    host = quote(str(given["host"]), safe="")
    return f"postgresql://{given['user']}@/{given['dbname']}?host={host}&port={given['port']}"


def _chunks(events: Iterator[Event]) -> Iterator[list[Event]]:
    while chunk := list(islice(events, CHUNK)):
        yield chunk
