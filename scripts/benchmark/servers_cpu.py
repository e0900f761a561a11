"""What the servers compute, as the kernel counts it: no wall clock says whose time it was on two busy cores."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import psycopg
import redis

TICKS: Final = os.sysconf("SC_CLK_TCK")


@contextmanager
def servers_cpu(redis_url: str, postgres_dsn: str) -> Iterator[dict[str, float]]:
    """Give seconds per server, known at the end of the block. Both run on this machine."""
    with redis.Redis.from_url(redis_url) as client, psycopg.connect(postgres_dsn) as connection:
        valkey = int(client.info("server")["process_id"])
        postmaster = int(_fields(connection.info.backend_pid)[1])
    before, found = _both(valkey, postmaster), dict[str, float]()
    yield found
    found.update({name: seconds - before[name] for name, seconds in _both(valkey, postmaster).items()})


def _both(valkey: int, postmaster: int) -> dict[str, float]:
    children = sum(map(_seconds, _children(postmaster)))  # first: one that ends meanwhile is its parent's then
    return {"Redis": _seconds(valkey), "PostgreSQL": children + _seconds(postmaster)}


def _seconds(pid: int) -> float:
    """User and system time of the process, and of its children that have ended (proc_pid_stat(5), 14 to 17)."""
    with suppress(FileNotFoundError, ProcessLookupError):  # it may end between any two looks
        return sum(map(int, _fields(pid)[11:15])) / TICKS
    return 0.0


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]


def _fields(pid: int) -> list[str]:
    """What follows the name, which may hold anything: state, parent, …"""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
