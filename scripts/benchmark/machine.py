"""The machine, in one line: numbers mean nothing without it."""

from __future__ import annotations

import os
import platform
import tempfile
import time
from pathlib import Path
from statistics import median

from scripts.benchmark.site import Servers


def machine(servers: Servers) -> str:
    """Name cores, processor, Python, servers, and what durability costs here."""
    return ", ".join(
        (
            f"{len(os.sched_getaffinity(0))} cores of {_processor()}",
            f"Python {platform.python_version()}",
            servers.versions,
            servers.durability(),
            f"fdatasync {_fdatasync_ms():.2f} ms",
            f"load {os.getloadavg()[0]:.1f}",
        )
    )


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _fdatasync_ms() -> float:
    """Time one, on the disk that the servers use."""
    took: list[float] = []
    with tempfile.TemporaryFile(dir="/var/tmp", buffering=0) as file:
        for _ in range(100):
            file.write(b"x" * 8192)
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - began)
    return median(took) * 1000
