"""The composition root: settings in, connected parts and a worker out."""

from __future__ import annotations

import gc
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import SecretStr
    from redis import Redis

    from gmhealth.adapters.postgres.queries import PostgresQueries
    from gmhealth.adapters.postgres.rows import PostgresRows
    from gmhealth.adapters.redis.address import Sentinels
    from gmhealth.adapters.redis.dead_letters import RedisDeadLetters
    from gmhealth.adapters.redis.ledger import LedgerKeys, RedisLedger
    from gmhealth.adapters.redis.queries import RedisQueries
    from gmhealth.adapters.redis.reset import RedisReset
    from gmhealth.adapters.redis.stream import RedisStream
    from gmhealth.embedded import EmbeddedServers
    from gmhealth.settings import Settings
    from gmhealth.worker.events import Observer, Report
    from gmhealth.worker.job import Job
    from gmhealth.worker.loop import Worker
    from gmhealth.worker.ports import Ledger, Rows, Stream


@dataclass(frozen=True, slots=True)
class Servers:
    """The two servers a command talks to; `embedded` is None for those of a production host."""

    redis_url: str = field(repr=False)  # it may hold a password
    postgres_dsn: str = field(repr=False)
    embedded: EmbeddedServers | None = None
    sentinels: Sentinels | None = None


@dataclass(frozen=True, slots=True)
class Parts:
    """The adapters over one Redis client and one PostgreSQL session. Nothing is sent before it is needed."""

    redis: Redis
    keys: LedgerKeys
    stream: RedisStream
    ledger: RedisLedger
    rows: PostgresRows
    queries: RedisQueries
    games: PostgresQueries
    reset: RedisReset
    letters: RedisDeadLetters

    def let_go(self) -> None:
        """Close the connections, which the next request opens again: servers and proxies end what idles for long."""
        from gmhealth.adapters.redis.connection import disconnect

        self.rows.close()
        disconnect(self.redis)


@contextmanager
def servers(settings: Settings, environ: Mapping[str, str]) -> Iterator[Servers]:
    """Know where the servers are; with `embedded`, start or join them and leave them at the end."""
    if not settings.embedded:
        yield Servers(_shown(settings.redis_url), _shown(settings.postgres_dsn), None, _sentinels(settings))
        return
    from gmhealth.embedded import default_directory, embedded_servers

    with embedded_servers(settings.embedded_dir or default_directory(environ)) as embedded:
        yield Servers(embedded.redis_url, embedded.postgres_dsn, embedded)


@contextmanager
def connected(settings: Settings, where: Servers, role: str) -> Iterator[Parts]:
    """Make the adapters, and close what they opened at the end. `role` is the command, for the servers' lists."""
    from gmhealth.adapters.postgres import connection as postgres_connection
    from gmhealth.adapters.postgres.queries import PostgresQueries
    from gmhealth.adapters.postgres.rows import PostgresRows
    from gmhealth.adapters.redis import connection as redis_connection
    from gmhealth.adapters.redis.dead_letters import RedisDeadLetters
    from gmhealth.adapters.redis.ledger import RedisLedger
    from gmhealth.adapters.redis.queries import RedisQueries
    from gmhealth.adapters.redis.reset import RedisReset
    from gmhealth.adapters.redis.stream import RedisStream

    keys = ledger_keys(settings)
    name = f"gmhealth {role} {socket.gethostname()[:30]}:{os.getpid()}"
    client = redis_connection.connect(
        where.redis_url,
        password=_shown(settings.redis_password) or None,
        client_name=name.replace(" ", "-"),
        sentinels=where.sentinels,
    )

    def session() -> postgres_connection.Connection:
        password = _shown(settings.postgres_password) or None
        return postgres_connection.connect(where.postgres_dsn, password=password, application_name=name)

    rows = PostgresRows(session, table=settings.postgres_table, lock_name=keys.offset)
    prefix = settings.key_prefix
    try:
        yield Parts(
            redis=client,
            keys=keys,
            stream=RedisStream(client, settings.health_stream, keys),
            ledger=RedisLedger(client, keys, dead_letter_limit=settings.dead_letter_limit),
            rows=rows,
            queries=RedisQueries(client),
            games=PostgresQueries(session, settings.postgres_table),
            reset=RedisReset(client, offset=keys.offset, audit=f"{prefix}offset_audit:health_events"),
            letters=RedisDeadLetters(
                client,
                letters=keys.dead_letters,
                retried=f"{prefix}dead_letters_retried:health_events",
                dropped=keys.dropped,
                stream=settings.health_stream,
            ),
        )
    finally:
        rows.close()
        client.close()


def ledger_keys(settings: Settings) -> LedgerKeys:
    """Name the keys (design 2.6, D6)."""
    from gmhealth.adapters.redis.ledger import LedgerKeys

    prefix = settings.key_prefix
    return LedgerKeys(
        source=settings.health_stream,
        offset=f"{prefix}stream_offsets:health_events",
        record=f"{prefix}commit_mark:health_events",
        snapshots=settings.lobby_stream,
        dead_letters=f"{prefix}dead_letters:health_events",
        dropped=f"{prefix}dead_letters_dropped:health_events",
        journal=f"{prefix}journal:health_events",
        writes=f"{prefix}writes:health_events",
        last_break=f"{prefix}last_break:health_events",
        waiting=f"{prefix}waiting:health_events",
        pause=f"{prefix}pause:health_events",
    )


def worker(parts: Parts, job: Job, observe: Observer) -> Worker:
    """Make a worker over `parts`, with a name that no other worker has."""
    return _worker(parts.stream, parts.ledger, parts.rows, job, observe)


def rehearsal(parts: Parts, rows: Rows, ledger: Ledger, job: Job, observe: Observer) -> Worker:
    """Make a worker that reads the real stream and writes to `rows` and `ledger` instead."""
    from gmhealth.adapters.redis.stream import RedisStream

    stream = RedisStream(parts.redis, parts.keys.source, parts.keys, any_offset=True)
    return _worker(stream, ledger, rows, job, observe)


def _worker(stream: Stream, ledger: Ledger, rows: Rows, job: Job, observe: Observer) -> Worker:
    from gmhealth.worker.loop import Worker

    # A batch is thousands of small tuples and no cycle: looking for one after every 700 of them costs a quarter of our
    # CPU. Only what fails makes cycles, and `_tidied` looks for those.
    gc.set_threshold(100_000, 20, 100)
    name = f"{socket.gethostname()}:{os.getpid()}:{os.urandom(4).hex()}"
    return Worker(
        stream,
        ledger,
        rows,
        job=job,
        observe=_tidied(observe),
        name=name,
        clock_ms=lambda: time.time_ns() // 1_000_000,
    )


def _tidied(observe: Observer) -> Observer:
    """`observe`, and then collect the garbage of failures: while the worker waits one out, and when it goes on.

    The drivers leave some kilobytes with each of them, in cycles of errors and tracebacks; a day with a server that
    comes and goes would hold megabytes until the threshold is met. Nobody waits for these milliseconds.
    """
    from gmhealth.worker.events import Recovered, Waiting

    def told(report: Report, /) -> None:
        observe(report)
        if isinstance(report, Waiting | Recovered):
            gc.collect()

    return told


def _sentinels(settings: Settings) -> Sentinels | None:
    if settings.redis_sentinels is None:
        return None
    from gmhealth.adapters.redis.address import read_sentinels

    password = _shown(settings.redis_sentinel_password) or None
    return read_sentinels(settings.redis_sentinels, settings.redis_sentinel_master, password)


def _shown(secret: SecretStr | None) -> str:
    return "" if secret is None else secret.get_secret_value()
