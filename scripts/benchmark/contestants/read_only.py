"""Merely reading the stream with redis-py and hiredis: the wall that no client passes which uses them as they come."""

from __future__ import annotations

import sys
import time
from typing import Any, Final

import redis

from scripts.benchmark.task import HEALTH_STREAM, Task, report, task

COUNT: Final = 2000
"""Swept from 500 to 20,000: all the same. XRANGE, RESP3 and a larger buffer for the socket are as fast as this."""


def connect(job: Task) -> Any:
    """Connect as one does."""
    return redis.Redis.from_url(job.redis_url, protocol=2)


def read(server: Any, entries: int) -> None:
    """Read to the end of the stream, which is that of `entries` entries."""
    after, found = b"0-0", 0
    while reply := server.xread({HEALTH_STREAM: after}, count=COUNT):
        page = reply[0][1]
        after, found = page[-1][0], found + len(page)
    if found != entries:
        sys.exit(f"read {found} entries of {entries}")


def main() -> None:
    """Do the task."""
    job = task()
    began = time.perf_counter()
    read(connect(job), job.entries)
    report(began)


if __name__ == "__main__":
    main()
