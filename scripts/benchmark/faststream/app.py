"""FastStream as its own command runs it (`faststream run`), for the failure modes.

`BENCH_GROUP` names a consumer group; with `BENCH_RECLAIM_MS` a second subscriber of it takes back what has been pending
for so long, as FastStream's page on claiming has it. (Its `claim_min_idle_time` wants Redis 8.4; Valkey has no such
option.)
"""

from __future__ import annotations

import os

import asyncpg
import redis.asyncio
from faststream import FastStream
from faststream.redis import RedisBroker, StreamSub

from scripts.benchmark.faststream.per_message import Handler
from scripts.benchmark.task import HEALTH_STREAM

URL, DSN, GROUP = os.environ["BENCH_REDIS_URL"], os.environ["BENCH_POSTGRES_DSN"], os.environ.get("BENCH_GROUP")
RECLAIM_MS = int(os.environ.get("BENCH_RECLAIM_MS", "0"))

handler = Handler(rows=None, lobby=redis.asyncio.Redis.from_url(URL), entries=0)
broker = RedisBroker(URL)
app = FastStream(broker)
broker.subscriber(stream=StreamSub(HEALTH_STREAM, group=GROUP, consumer="one" if GROUP else None))(handler.handle)
if RECLAIM_MS:
    pending = StreamSub(HEALTH_STREAM, group=GROUP, consumer="two", min_idle_time=RECLAIM_MS)
    broker.subscriber(stream=pending)(handler.handle)


async def connect() -> None:
    """Connect to PostgreSQL before the first message; a pool replaces a connection that was lost."""
    handler.rows = await asyncpg.create_pool(DSN, min_size=1, max_size=1)


app.on_startup(connect)
