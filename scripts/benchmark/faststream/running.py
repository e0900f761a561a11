"""Running a handler under FastStream until its task is done: what both ways of using it have in common."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import asyncpg
import redis.asyncio
import uvloop
from faststream.redis import RedisBroker, StreamSub

from scripts.benchmark.task import GROUP, HEALTH_STREAM, Task, report, task


class Handler(Protocol):
    """Handles what the broker reads; `done` is set once that was the whole task."""

    done: asyncio.Event

    @property
    def handle(self) -> Callable[..., Awaitable[None]]:
        """What the broker calls."""


def main(
    handler: Callable[[Any, Any, int], Handler], options: Callable[[Task], dict[str, Any]], **subscriber: Any
) -> None:
    """Do the task with a handler that is made from a PostgreSQL connection, a Redis client and a number of entries.

    `options` are those of the stream, `subscriber` those of FastStream's subscriber.
    """
    job = task()
    began = time.perf_counter()
    runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    stream = StreamSub(HEALTH_STREAM, group=GROUP, consumer="one", **options(job))
    runner.run(_run(job, handler, stream, subscriber))
    report(began)
    os._exit(0)  # messages that it has fetched beyond the task are waiting


async def _run(
    job: Task, make: Callable[[Any, Any, int], Handler], stream: StreamSub, subscriber: dict[str, Any]
) -> None:
    rows = await asyncpg.connect(job.postgres_dsn)
    handler = make(rows, redis.asyncio.Redis.from_url(job.redis_url), job.entries)
    broker = RedisBroker(job.redis_url, logger=None, apply_types=False)
    broker.subscriber(stream=stream, **subscriber)(handler.handle)
    await broker.start()
    await handler.done.wait()
