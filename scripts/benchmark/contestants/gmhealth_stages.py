"""gmhealth's worker with a clock around each stage; then each stage again, alone.

"Alone": the same call on the same data with nothing else around it and no garbage collection, which is what remains
of a stage when nothing disturbs it.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from threading import Event
from typing import Any, TypeVar

from gmhealth import bootstrap
from gmhealth.bootstrap import Parts
from gmhealth.core.entry import START, Entry, EntryId
from gmhealth.core.events import Decoded, HealthEvent, decode
from gmhealth.core.mapping import Summary
from gmhealth.core.plan import Change, Row, fold
from gmhealth.job import Job
from gmhealth.ports import BatchDone, Commit, Notice
from gmhealth.settings import load_settings
from scripts.benchmark.task import report, task

ALONE_BATCHES = 20
LOAD_FOLD_WRITE = "load, fold and write"
T = TypeVar("T")


@dataclass(slots=True)
class Clock:
    """Seconds per stage, and of these the seconds that this process computed."""

    wall: dict[str, float] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)
    changes: int = 0
    snapshots: int = 0

    def time(self, stage: str, call: Callable[..., T], *arguments: Any) -> T:
        """Call, and count the time."""
        wall, cpu = time.perf_counter(), time.thread_time()
        result = call(*arguments)
        self.wall[stage] = self.wall.get(stage, 0.0) + time.perf_counter() - wall
        self.cpu[stage] = self.cpu.get(stage, 0.0) + time.thread_time() - cpu
        return result

    def observe(self, notice: Notice) -> None:
        """Take over what the worker measured itself."""
        if isinstance(notice, BatchDone):
            for stage, name in (("decode", "decode"), (LOAD_FOLD_WRITE, "write")):
                self.wall[stage] = self.wall.get(stage, 0.0) + notice.seconds[name]
            self.changes += len(notice.plan.changes)
            self.snapshots += len(notice.plan.snapshots)


class Clocked:
    """An adapter with a clock around the methods that are stages."""

    def __init__(self, adapter: object, clock: Clock, **stages: str) -> None:
        self._adapter, self._clock, self._stages = adapter, clock, stages

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._adapter, name)
        if name not in self._stages:
            return method
        return lambda *arguments: self._clock.time(self._stages[name], method, *arguments)


def together(parts: Parts, job: Job) -> Clock:
    """Run the worker; `rest` is what no stage accounts for."""
    clock = Clock()
    ports: dict[str, Any] = {
        "stream": Clocked(parts.stream, clock, read_range="read"),
        "ledger": Clocked(parts.ledger, clock, commit="publish"),
        "rows": Clocked(parts.rows, clock, load="load", write="write"),
    }
    wall, cpu = time.perf_counter(), time.thread_time()
    bootstrap.worker(replace(parts, **ports), job, clock.observe).run(Event())
    wall, cpu = time.perf_counter() - wall, time.thread_time() - cpu
    clock.wall["fold"] = clock.wall.pop(LOAD_FOLD_WRITE) - clock.wall["load"] - clock.wall["write"]
    clock.wall["rest"] = wall - sum(clock.wall.values())
    clock.cpu["decode, fold, rest"] = cpu - sum(clock.cpu.values())
    return clock


def alone(parts: Parts, until: EntryId, batch_size: int) -> dict[str, float]:
    """Do the first batches stage by stage; seconds per entry."""
    gc.collect()
    gc.disable()
    clock, after = Clock(), START
    batches: list[Sequence[Entry]] = []
    while len(batches) < ALONE_BATCHES and after < until:
        read = clock.time("read", parts.stream.read_range, after, until, batch_size)
        batches.append(read.entries)
        after = EntryId.parse(read.entries[-1][0]) or until
    decoded = [clock.time("decode", _decoded, batch) for batch in batches]
    events = [[event for event in batch if isinstance(event, HealthEvent)] for batch in decoded]
    rows = [clock.time("load", parts.rows.load, {event.game_id for event in batch}) for batch in events]
    plans = [clock.time("fold", fold, *batch, {}) for batch in zip(events, rows, strict=True)]
    for loaded in rows:
        # Not the plans' changes: the rows have moved on, and a change that does not apply costs less.
        clock.time("write", parts.rows.write, _touching(loaded))
    for at, plan in enumerate(plans):
        clock.time("publish", parts.ledger.commit, Commit(None, None, f"alone#{at}", plan.snapshots, (), 0))
    entries = sum(map(len, batches))
    return {stage: seconds / entries for stage, seconds in clock.wall.items()}


def _decoded(entries: Sequence[Entry]) -> list[Decoded]:
    return [decode(entry) for entry in entries]


def _touching(rows: Mapping[str, Row]) -> list[Change]:
    return [
        Change(game_id, row.status, row.current_turn, row.status, Summary.HEALTHY)
        for game_id, row in sorted(rows.items())
    ]


def main() -> None:
    """Do the task."""
    job = task()
    environ = {"GMHEALTH_REDIS_URL": job.redis_url, "GMHEALTH_POSTGRES_DSN": job.postgres_dsn}
    settings = load_settings(environ, {"batch_size": job.batch_size}, None)
    began = time.perf_counter()
    with bootstrap.servers(settings, environ) as where, bootstrap.connected(settings, where, "consume") as parts:
        until = parts.stream.state().last_generated
        clock = together(parts, Job(until=until, batch_size=settings.batch_size))
        per_entry = {
            "wall": {stage: seconds / job.entries for stage, seconds in clock.wall.items()},
            "cpu": {stage: seconds / job.entries for stage, seconds in clock.cpu.items()},
            "alone": alone(parts, until, settings.batch_size),
        }
    counts = {"changes": clock.changes / job.entries, "snapshots": clock.snapshots / job.entries}
    report(began, batch_size=settings.batch_size, per_entry=per_entry, **counts)


if __name__ == "__main__":
    main()
