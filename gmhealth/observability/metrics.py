"""The metrics that count what the worker does, each declared once. Loaded only where metrics are asked for."""

from __future__ import annotations

import platform
from bisect import bisect_right
from collections import Counter as Count
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import product
from math import inf
from time import time
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from gmhealth import __version__
from gmhealth.core.continuity import BREAKS, Break, EntriesLost, StreamReplaced
from gmhealth.core.events import Reason
from gmhealth.core.plan import Outcome
from gmhealth.core.rules import EventType
from gmhealth.observability.liveness import Role
from gmhealth.worker.events import (
    Active,
    BatchDone,
    BatchHalved,
    Idle,
    OffsetMoved,
    OffsetRestored,
    Paused,
    RecordUnreadable,
    Recovered,
    Report,
    Settled,
    Standby,
    Waiting,
)

# Else every counter and histogram has a second series, with the time at which it was made. The function has no types.
disable_created_metrics()  # type: ignore[no-untyped-call]

STAGES: Final = ("decode", "write", "publish")
STAGE_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
BATCH_SIZES: Final = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0, 10_000.0, 30_000.0, 100_000.0)
DELAYS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0, inf)


class EventDelays:
    """Histogram of the events' delays, which counts a batch in one step.

    `Histogram.observe` takes a value and two locks at a time: 1.9 µs an event, of some 7 that one costs this process
    in all; this takes 0.5.
    """

    def __init__(self) -> None:
        self._counts = [0] * len(DELAYS)
        self._sum = 0.0

    def observe(self, seconds: Iterable[float]) -> None:
        """Count each of `seconds` in every bucket whose bound it does not exceed."""
        delays = sorted(seconds)
        self._counts = [count + bisect_right(delays, bound) for count, bound in zip(self._counts, DELAYS, strict=True)]
        self._sum += sum(delays)

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Give the histogram as it stands."""
        yield HistogramMetricFamily(
            "gmhealth_event_delay_seconds",
            "Time from when Runtime Manager saw an event (occurred_at_ms) until its effects were durable.",
            list(zip(map(floatToGoString, DELAYS), self._counts, strict=True)),
            self._sum,
        )


class Metrics:
    """All there is to scrape, in `registry`; an observer of the worker. No label ever names a game.

    `lag` looks up its own at each scrape; this process's memory, time and files are there as well.
    """

    def __init__(self, lag: Collector, *, clock: Callable[[], float] = time) -> None:
        self._clock = clock
        self._delays = EventDelays()
        self.registry = registry = CollectorRegistry()
        counter, gauge = partial(Counter, registry=registry), partial(Gauge, registry=registry)
        histogram = partial(Histogram, registry=registry)
        self._entries = counter("gmhealth_entries", "Stream entries whose effects are durable, invalid ones included.")
        self._events = counter(
            "gmhealth_events",
            "Health events by what became of them: swapped, conflict (the status was not the expected one),"
            " health_only, no_row (no such game), refused (PostgreSQL does not take the row).",
            ("type", "outcome"),
        )
        self._transitions = counter(
            "gmhealth_transitions",
            "Compare-and-swaps on the status that events asked for, by result: swapped, conflict, no_row or refused.",
            ("from", "to", "result"),
        )
        self._snapshots = counter(
            "gmhealth_snapshots",
            "Snapshots for Game Lobby: sent, suppressed (nothing new for Lobby) or repair (rows that had changed since"
            " the last commit, after a fault or a take-over).",
            ("result",),
        )
        self._dead_letters = counter(
            "gmhealth_dead_letters",
            "Entries that were no health events and went to the dead letters, by reason.",
            ("reason",),
        )
        self._letters_dropped = counter(
            "gmhealth_dead_letters_dropped", "Old dead letters deleted to keep to their limit (dead_letter_limit)."
        )
        self._batch_entries = histogram("gmhealth_batch_entries", "Entries in a batch.", buckets=BATCH_SIZES)
        self._stage_seconds = histogram(
            "gmhealth_stage_duration_seconds",
            "Time a batch spent in a stage: decode, write (the rows, and what that did) or publish.",
            ("stage",),
            buckets=STAGE_SECONDS,
        )
        self._entries_lost = counter(
            "gmhealth_entries_lost", "Entries trimmed or deleted from the stream before they were read, at most."
        )
        self._stream_breaks = counter(
            "gmhealth_stream_breaks",
            "Times the stream did not lead on from the offset: trimmed past it, behind it (recreated or failed over),"
            " replaced by another one whose IDs go on, gone, or rolled back with the offset (failed over).",
            ("kind",),
        )
        self._rows_repaired = counter(
            "gmhealth_rows_repaired", "Rows that PostgreSQL had lost a write of, as after a failover, written again."
        )
        self._counted: dict[type[Report], Counter] = {
            OffsetMoved: counter("gmhealth_offset_moves", "Times somebody else moved the offset."),
            OffsetRestored: counter(
                "gmhealth_offset_restores",
                "Times the offset's key was gone and was set again from the commit record.",
            ),
            Waiting: counter("gmhealth_failed_tries", "Tries that ended because a server did not answer."),
            Recovered: counter("gmhealth_reconnects", "Times a server answered again after it had not."),
        }
        self._offset_time = gauge("gmhealth_offset_timestamp_seconds", "Time in the ID of the last entry that is done.")
        self._last_success = gauge(
            "gmhealth_last_success_timestamp_seconds", "When a batch was done, or nothing was left to do, last."
        )
        self._role = gauge(  # no `Enum`, whose label has the name of the metric
            "gmhealth_role",
            "1 for what this process is: starting, active (it consumes), standby (another one does) or paused.",
            ("role",),
        )
        Info("gmhealth_build", "Always 1; the labels say what runs.", registry=registry).info(
            {"version": __version__, "python": platform.python_version()}
        )
        ProcessCollector(registry=registry)
        registry.register(self._delays)
        registry.register(lag)
        self._make_series()

    def _make_series(self) -> None:
        """Have every series on the page from the start: Prometheus sees no increase in one that begins above 0."""
        pairs = [(asked.expected, asked.target) for kind in EventType if (asked := kind.transition)]
        results = [each for each in Outcome if each is not Outcome.HEALTH_ONLY]
        for metric, series in (
            (self._events, product(EventType, Outcome)),
            (self._transitions, ((*pair, result) for pair, result in product(pairs, results))),
            (self._snapshots, product(("sent", "suppressed", "repair"))),
            (self._dead_letters, ((reason.value,) for reason in Reason)),
            (self._stage_seconds, product(STAGES)),
            (self._stream_breaks, product(BREAKS)),
        ):
            for labels in series:
                metric.labels(*labels)
        self._is(Role.STARTING)

    def __call__(self, report: Report) -> None:
        """Count what `report` tells."""
        match report:
            case BatchDone():
                self._batch(report)
            case Idle():
                self._at(report.offset.ms)
            case Active():
                self._is(Role.ACTIVE)
            case Standby():
                self._is(Role.STANDBY)
            case Paused():
                self._is(Role.PAUSED)
            case Settled():
                self._snapshots.labels("repair").inc(report.published)
                self._rows_repaired.inc(report.repaired)
            case OffsetMoved() | OffsetRestored() | Waiting() | Recovered():
                self._counted[type(report)].inc()
            case BatchHalved() | RecordUnreadable():
                pass  # its failed try is counted
            case _:
                self._broken(report)

    def _broken(self, broken: Break) -> None:
        self._stream_breaks.labels(broken.kind).inc()
        if isinstance(broken, EntriesLost | StreamReplaced):
            self._entries_lost.inc(broken.lost or 0)

    def _is(self, role: Role) -> None:
        for each in Role:
            self._role.labels(each).set(each is role)

    def _at(self, offset_ms: int) -> None:
        self._offset_time.set(offset_ms / 1000)
        self._last_success.set(self._clock())

    def _batch(self, done: BatchDone) -> None:
        self._entries.inc(done.entries)
        self._letters_dropped.inc(done.dropped)
        self._batch_entries.observe(done.entries)
        for stage, seconds in done.seconds.items():
            self._stage_seconds.labels(stage).observe(seconds)
        for reason, count in Count(invalid.reason.value for invalid in done.invalid).items():
            self._dead_letters.labels(reason).inc(count)
        self._outcomes(done)
        now = self._clock()
        self._delays.observe(max(0.0, now - step.event.occurred_at_ms / 1000) for step in done.plan.steps)
        self._at(done.last.ms)

    def _outcomes(self, done: BatchDone) -> None:
        sent = len(done.plan.snapshots)
        suppressed = -sent
        for (kind, outcome), count in Count((step.event.type, step.outcome) for step in done.plan.steps).items():
            self._events.labels(kind, outcome).inc(count)
            suppressed += count if outcome not in (Outcome.NO_ROW, Outcome.REFUSED) else 0
            if (asked := kind.transition) is not None:
                self._transitions.labels(asked.expected, asked.target, outcome).inc(count)
        self._snapshots.labels("sent").inc(sent)
        self._snapshots.labels("suppressed").inc(suppressed)
