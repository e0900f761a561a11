"""gmhealth's worker with a clock around each stage; then each stage again, alone.

"Alone": the same call on the same data with nothing else around it and no garbage collection, which is what remains
of a stage when nothing disturbs it.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from threading import Event
from typing import Any, TypeVar
from unittest import mock

from msgspec.structs import astuple
from msgspec.structs import replace as replace_struct

from gmhealth import bootstrap
from gmhealth.bootstrap import Parts
from gmhealth.core.entry import START, Entry, EntryId
from gmhealth.core.events import decode_all
from gmhealth.core.journal import Line, pack_events, pack_lines
from gmhealth.core.plan import NetEffect, Plan, fold, net_effects
from gmhealth.settings import load_settings
from gmhealth.worker import writer
from gmhealth.worker.events import BatchDone, Report
from gmhealth.worker.job import Job
from gmhealth.worker.ports import Commit, Saved, Wrote
from gmhealth.worker.reader import Reading
from scripts.benchmark.servers_cpu import servers_cpu
from scripts.benchmark.task import report, task

ALONE_BATCHES = 20
T = TypeVar("T")


@dataclass(slots=True)
class Clock:
    """Seconds per stage, and of these the seconds that this process computed.

    What is done while a server works (reading and decoding the next batch) counts for itself, and not for the stage
    that it is done in.
    """

    wall: dict[str, float] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)
    _inner: tuple[float, float] = (0.0, 0.0)

    def time(self, stage: str, call: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """Call, and count the time."""
        outer, self._inner = self._inner, (0.0, 0.0)
        began, began_cpu = time.perf_counter(), time.thread_time()
        result = call(*arguments, **options)
        wall, cpu = time.perf_counter() - began, time.thread_time() - began_cpu
        self.wall[stage] = self.wall.get(stage, 0.0) + wall - self._inner[0]
        self.cpu[stage] = self.cpu.get(stage, 0.0) + cpu - self._inner[1]
        self._inner = (outer[0] + wall, outer[1] + cpu)
        return result

    def clocked(self, stage: str, call: Callable[..., T]) -> Callable[..., T]:
        """`call` with a clock around it."""
        return lambda *arguments, **options: self.time(stage, call, *arguments, **options)


@dataclass(slots=True)
class Tally:
    """What was written and sent."""

    changes: int = 0
    snapshots: int = 0

    def observe(self, report: Report) -> None:
        """Count a batch."""
        if isinstance(report, BatchDone):
            self.changes += len(report.plan.summaries)
            self.snapshots += len(report.plan.snapshots)


class Clocked:
    """An adapter with a clock around the methods that are stages."""

    def __init__(self, adapter: object, clock: Clock, **stages: str) -> None:
        self._adapter, self._clock, self._stages = adapter, clock, stages

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._adapter, name)
        if name not in self._stages:
            return method
        return self._clock.clocked(self._stages[name], method)


def together(parts: Parts, job: Job, tally: Tally) -> Clock:
    """Run the worker; `rest` is what no stage accounts for."""
    clock = Clock()
    ports: dict[str, Any] = {
        "stream": Clocked(parts.stream, clock, read_range="read"),
        "ledger": Clocked(parts.ledger, clock, commit="publish"),
        "rows": Clocked(parts.rows, clock, write="write"),
    }
    with (
        mock.patch.object(Reading, "decode", clock.clocked("decode", Reading.decode)),
        mock.patch.object(writer, "net_effects", clock.clocked("reduce", net_effects)),
        mock.patch.object(writer, "fold", clock.clocked("fold", fold)),
    ):
        clock.time("rest", bootstrap.worker(replace(parts, **ports), job, tally.observe).run, Event())
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
    events = [clock.time("decode", decode_all, batch).events for batch in batches]
    effects = [clock.time("reduce", net_effects, batch) for batch in events]
    since = parts.rows.now()
    written = [clock.time("write", parts.rows.write, batch, since) for batch in effects]
    plans = [
        clock.time("fold", fold, *batch, {}) for batch in zip(events, (each.rows for each in written), strict=True)
    ]
    for batch in zip(plans, effects, written, strict=True):
        commit = _commit(parts.ledger.saved(), *batch)
        clock.time("publish", parts.ledger.commit, commit)
    entries = sum(map(len, batches))
    return {stage: seconds / entries for stage, seconds in clock.wall.items()}


def _commit(saved: Saved, plan: Plan, effects: Sequence[NetEffect], wrote: Wrote) -> Commit:
    """What the worker sends for a batch, but for the offset, which is at the end already."""
    assert saved.record is not None  # the worker has left one
    lines = [
        Line(game_id, target, summary, before, row.status, row.engine_health, updated_at or wrote.at)
        for game_id, target, summary in map(astuple, effects)
        if (written := wrote.rows.get(game_id)) is not None
        for before, row, updated_at in (written,)
    ]
    return Commit(
        fence=saved,
        fences_offset=True,
        record=replace_struct(saved.record, n=saved.record.n + 1),
        snapshots=plan.snapshots,
        job="consume",
        journal=pack_events(plan.steps),
        writes=pack_lines(lines),
        games=len(lines),
    )


def main() -> None:
    """Do the task."""
    job = task()
    environ = {"GMHEALTH_REDIS_URL": job.redis_url, "GMHEALTH_POSTGRES_DSN": job.postgres_dsn}
    settings = load_settings(environ, {"batch_size": job.batch_size}, None)
    began, tally = time.perf_counter(), Tally()
    with bootstrap.servers(settings, environ) as where, bootstrap.connected(settings, where, "consume") as parts:
        until = parts.stream.state().last_generated
        with servers_cpu(job.redis_url, job.postgres_dsn) as servers:
            clock = together(parts, Job(until=until, batch_size=settings.batch_size), tally)
        per_entry = {
            "wall": {stage: seconds / job.entries for stage, seconds in clock.wall.items()},
            "cpu": {stage: seconds / job.entries for stage, seconds in clock.cpu.items()},
            "alone": alone(parts, until, settings.batch_size),
            "servers": {name: seconds / job.entries for name, seconds in servers.items()},
        }
    counts = {"changes": tally.changes / job.entries, "snapshots": tally.snapshots / job.entries}
    report(began, batch_size=settings.batch_size, per_entry=per_entry, **counts)


if __name__ == "__main__":
    main()
