"""Every metric, declared once, and the figures behind them, fed by the worker's notices.

Figures are plain numbers, so that an event costs a fraction of what the client library's own objects take, and the
library is loaded by who wants metrics only. The working loop writes them, a scrape reads them; there is no other
writer, and every series is there from the start, so neither waits for the other. No label ever names a game.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import product
from time import time
from typing import Final, Literal, NamedTuple

from gmhealth.core.continuity import BREAKS, Break, EntriesLost, StreamReplaced
from gmhealth.core.events import EventType, Reason
from gmhealth.core.health_state import Health
from gmhealth.core.mapping import EFFECTS
from gmhealth.core.plan import Outcome
from gmhealth.observability.pulse import Role
from gmhealth.worker.events import (
    Active,
    BatchDone,
    BatchHalved,
    Idle,
    Notice,
    OffsetMoved,
    OffsetRestored,
    RecordUnreadable,
    Recovered,
    Settled,
    Standby,
    Waiting,
)


class Metric(NamedTuple):
    """One metric as it is declared; a counter's name has no `_total`, which its samples get.

    `bounds` are a histogram's buckets, `series` the values its labels can have (none: not known beforehand).
    """

    kind: Literal["counter", "gauge", "histogram"]
    name: str
    help: str
    labels: tuple[str, ...] = ()
    series: tuple[tuple[str, ...], ...] = ((),)
    bounds: tuple[float, ...] = ()


TRANSITIONS_KNOWN: Final = sorted(
    {(each.transition.expected, each.transition.target) for each in EFFECTS.values() if each.transition}
)
STAGES: Final = ("decode", "write", "publish")
SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
LONG_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)
SIZES: Final = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0, 10_000.0, 30_000.0, 100_000.0)


def _all(*values: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    return tuple(product(*values))


ENTRIES = Metric("counter", "gmhealth_entries", "Stream entries whose effects are durable, invalid ones included.")
EVENTS = Metric(
    "counter",
    "gmhealth_events",
    "Health events by what became of them: swapped, conflict (the status was not the expected one), health_only,"
    " no_row (no such game), refused (PostgreSQL does not take the row).",
    ("type", "outcome"),
    _all(tuple(EventType), tuple(Outcome)),
)
TRANSITIONS = Metric(
    "counter",
    "gmhealth_transitions",
    "Compare-and-swaps on the status that events asked for, by result: swapped, conflict, no_row or refused.",
    ("from", "to", "result"),
    tuple((*pair, result) for pair in TRANSITIONS_KNOWN for result in ("swapped", "conflict", "no_row", "refused")),
)
SNAPSHOTS = Metric(
    "counter",
    "gmhealth_snapshots",
    "Snapshots for Game Lobby: sent, suppressed (nothing new for Lobby) or repair (rows that had changed since the last"
    " commit, after a fault or a take-over).",
    ("result",),
    _all(("sent", "suppressed", "repair")),
)
DEAD_LETTERS = Metric(
    "counter",
    "gmhealth_dead_letters",
    "Entries that were no health events and went to the dead letters, by reason.",
    ("reason",),
    _all([reason.value for reason in Reason]),
)
LETTERS_DROPPED = Metric(
    "counter", "gmhealth_dead_letters_dropped", "Old dead letters deleted to keep to their limit (dead_letter_limit)."
)
BATCH_ENTRIES = Metric("histogram", "gmhealth_batch_entries", "Entries in a batch.", bounds=SIZES)
STAGE_SECONDS = Metric(
    "histogram",
    "gmhealth_stage_duration_seconds",
    "Time a batch spent in a stage: decode, write (the rows, and what that did) or publish.",
    ("stage",),
    _all(STAGES),
    SECONDS,
)
EVENT_DELAY = Metric(
    "histogram",
    "gmhealth_event_delay_seconds",
    "Time from when Runtime Manager saw an event (occurred_at_ms) until its effects were durable.",
    bounds=LONG_SECONDS,
)
ENTRIES_LOST = Metric(
    "counter", "gmhealth_entries_lost", "Entries trimmed or deleted from the stream before they were read, at most."
)
STREAM_BREAKS = Metric(
    "counter",
    "gmhealth_stream_breaks",
    "Times the stream did not lead on from the offset: trimmed past it, behind it (recreated or failed over), replaced"
    " by another one whose IDs go on, gone, or rolled back with the offset (failed over).",
    ("kind",),
    _all(tuple(BREAKS)),
)
OFFSET_MOVES = Metric("counter", "gmhealth_offset_moves", "Times somebody else moved the offset.")
OFFSET_RESTORES = Metric(
    "counter", "gmhealth_offset_restores", "Times the offset's key was gone and was set again from the commit record."
)
ROWS_REPAIRED = Metric(
    "counter",
    "gmhealth_rows_repaired",
    "Rows that PostgreSQL had lost a write of, as after a failover, written again.",
)
FAILED_TRIES = Metric("counter", "gmhealth_failed_tries", "Tries that ended because a server did not answer.")
RECONNECTS = Metric("counter", "gmhealth_reconnects", "Times a server answered again after it had not.")
OFFSET_TIME = Metric("gauge", "gmhealth_offset_timestamp_seconds", "Time in the ID of the last entry that is done.")
LAST_SUCCESS = Metric(
    "gauge", "gmhealth_last_success_timestamp_seconds", "When a batch was done, or nothing was left to do, last."
)
ROLE = Metric(
    "gauge",
    "gmhealth_role",
    "1 for what this process is: starting, active (it consumes) or standby (another one does).",
    ("role",),
    _all(tuple(Role)),
)
LAG_ENTRIES = Metric("gauge", "gmhealth_lag_entries", "Entries after the saved offset, looked up for this scrape.")
LAG_SECONDS = Metric("gauge", "gmhealth_lag_seconds", "Age of the oldest entry after the saved offset; 0 for none.")
STREAM_UP = Metric("gauge", "gmhealth_stream_up", "Whether Redis could be asked for the lag for this scrape.")
STATE = Metric(
    "gauge",
    "gmhealth_state",
    "1 for how consuming goes: ok, behind, stalled (unread entries, and the offset does not move), stopped, rewound.",
    ("state",),
    _all(tuple(Health)),
)
BUILD = Metric("gauge", "gmhealth_build_info", "Always 1; the labels say what runs.", ("version", "python"), ())

FED: Final = (
    *(ENTRIES, EVENTS, TRANSITIONS, SNAPSHOTS, DEAD_LETTERS, LETTERS_DROPPED),
    *(BATCH_ENTRIES, STAGE_SECONDS, EVENT_DELAY),
    *(ENTRIES_LOST, STREAM_BREAKS, OFFSET_MOVES, OFFSET_RESTORES, ROWS_REPAIRED),
    *(FAILED_TRIES, RECONNECTS, OFFSET_TIME, LAST_SUCCESS, ROLE),
)
"""Fed by notices."""
LOOKED_UP: Final = (LAG_ENTRIES, LAG_SECONDS, STREAM_UP, STATE, BUILD)
"""Looked up for a scrape."""
METRICS: Final = (*FED, *LOOKED_UP)


COUNTED: Final = {
    OffsetMoved: OFFSET_MOVES,
    OffsetRestored: OFFSET_RESTORES,
    Waiting: FAILED_TRIES,
    Recovered: RECONNECTS,
}
"""By the notice that a counter counts."""


class Buckets:
    """One series of a histogram."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds, self.counts, self.sum = bounds, [0] * (len(bounds) + 1), 0.0

    def observe(self, value: float) -> None:
        """Count `value` in the first bucket that holds it."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


class Figures:
    """Takes note of every notice. `numbers` and `buckets` are by metric and label values."""

    def __init__(self, *, clock: Callable[[], float] = time) -> None:
        self._clock = clock
        self.numbers = {
            metric: dict.fromkeys(metric.series, 0.0) for metric in FED if metric.kind in ("counter", "gauge")
        }
        self.buckets = {
            metric: {labels: Buckets(metric.bounds) for labels in metric.series}
            for metric in FED
            if metric.kind == "histogram"
        }
        self._is(Role.STARTING)

    def __call__(self, notice: Notice) -> None:
        """Take note."""
        match notice:
            case BatchDone():
                self._batch(notice)
            case Idle():
                self._at(notice.offset.ms)
            case Active():
                self._is(Role.ACTIVE)
            case Standby():
                self._is(Role.STANDBY)
            case Settled():
                self._add(SNAPSHOTS, ("repair",), notice.published)
                self._add(ROWS_REPAIRED, by=notice.repaired)
            case OffsetMoved() | OffsetRestored() | Waiting() | Recovered():
                self._add(COUNTED[type(notice)])
            case BatchHalved() | RecordUnreadable():
                pass  # a failed try is counted, and a lost record is news for the log
            case _:
                self._broken(notice)

    def _broken(self, broken: Break) -> None:
        self._add(STREAM_BREAKS, (broken.kind,))
        if isinstance(broken, EntriesLost | StreamReplaced):
            self._add(ENTRIES_LOST, by=broken.lost or 0)

    def _add(self, metric: Metric, labels: tuple[str, ...] = (), by: float = 1) -> None:
        self.numbers[metric][labels] += by

    def _is(self, role: Role) -> None:
        for each in Role:
            self.numbers[ROLE][each,] = float(each is role)

    def _at(self, offset_ms: int) -> None:
        self.numbers[OFFSET_TIME][()] = offset_ms / 1000
        self.numbers[LAST_SUCCESS][()] = self._clock()

    def _batch(self, done: BatchDone) -> None:
        self._add(ENTRIES, by=done.entries)
        self._add(LETTERS_DROPPED, by=done.dropped)
        self.buckets[BATCH_ENTRIES][()].observe(done.entries)
        for stage, seconds in done.seconds.items():
            self.buckets[STAGE_SECONDS][stage,].observe(seconds)
        for reason, count in Counter(invalid.reason.value for invalid in done.invalid).items():
            self._add(DEAD_LETTERS, (reason,), count)
        self._outcomes(done)
        self._delays(done)
        self._at(done.last.ms)

    def _outcomes(self, done: BatchDone) -> None:
        sent = len(done.plan.snapshots)
        suppressed = -sent
        for (kind, outcome), count in Counter((step.event.type, step.outcome) for step in done.plan.steps).items():
            self._add(EVENTS, (kind, outcome), count)
            suppressed += count if outcome not in (Outcome.NO_ROW, Outcome.REFUSED) else 0
            if (asked := EFFECTS[kind].transition) is not None:
                self._add(TRANSITIONS, (asked.expected, asked.target, outcome), count)
        self._add(SNAPSHOTS, ("sent",), sent)
        self._add(SNAPSHOTS, ("suppressed",), suppressed)

    def _delays(self, done: BatchDone) -> None:
        observe, now = self.buckets[EVENT_DELAY][()].observe, self._clock()
        for step in done.plan.steps:
            observe(max(0.0, now - step.event.occurred_at_ms / 1000))
