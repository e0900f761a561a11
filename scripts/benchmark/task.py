"""How a contestant is told what to do, and tells what it did: JSON as its argument, JSON on its output.

Only the standard library: contestants with an environment of their own use this, too.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

HEALTH_STREAM = "runtime:health_events"
LOBBY_STREAM = "gm:lobby_events"
OFFSET_KEY = "gamemaster:stream_offsets:health_events"
GROUP = "bench"


@dataclass(frozen=True, slots=True)
class Task:
    """Consume the stream up to and with the entry `until`, the `entries`-th; None: go on for ever."""

    redis_url: str
    postgres_dsn: str
    until: str | None = None
    entries: int = 0
    batch_size: int | None = None

    def as_argument(self) -> str:
        """Write it for the command line."""
        return json.dumps(asdict(self))


@dataclass(frozen=True, slots=True)
class Result:
    """What a contestant measured of itself; `peak_kib` is its peak resident set."""

    seconds: float
    peak_kib: int
    details: dict[str, Any]


def task() -> Task:
    """Read the task of this process, and have it look for cycles as rarely as gmhealth does."""
    gc.set_threshold(100_000, 20, 100)
    return Task(**json.loads(sys.argv[1]))


def report(began: float, **details: Any) -> None:
    """Say that the work which began at `began` (`perf_counter`) is done."""
    result = Result(time.perf_counter() - began, peak_kib(), details)
    print(json.dumps(asdict(result)), flush=True)


def peak_kib() -> int:
    """Peak resident set of this process; not ru_maxrss, which counts that of the process it was forked from."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
