"""Merely reading the stream with redis-py and hiredis: the wall that no Python client passes."""

from __future__ import annotations

import time
from typing import Any

import redis

from scripts.benchmark.task import HEALTH_STREAM, report, task


def main() -> None:
    """Do the task."""
    job = task()
    began = time.perf_counter()
    server: Any = redis.Redis.from_url(job.redis_url, protocol=2)
    after = b"0-0"
    while reply := server.xread({HEALTH_STREAM: after}, count=1000):
        after = reply[0][1][-1][0]
    report(began)


if __name__ == "__main__":
    main()
