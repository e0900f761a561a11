"""Merely reading, without the dictionary per entry that redis-py makes: the least that hiredis allows."""

from __future__ import annotations

import time
from typing import Any

from scripts.benchmark.contestants.read_only import connect, read
from scripts.benchmark.task import report, task


def as_it_is(reply: Any, **_: Any) -> Any:
    """Leave a reply as hiredis gives it: lists of lists; a socket and hiredis alone are no faster."""
    return reply


def main() -> None:
    """Do the task."""
    job = task()
    began = time.perf_counter()
    server = connect(job)
    server.set_response_callback("XREAD", as_it_is)
    read(server, job.entries)
    report(began)


if __name__ == "__main__":
    main()
