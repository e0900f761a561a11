"""What a worker says of what it does; logs, metrics and progress bars are told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from gmhealth.core.continuity import Break
from gmhealth.core.entry import EntryId
from gmhealth.core.events import InvalidEntry
from gmhealth.core.plan import Plan


@dataclass(frozen=True, slots=True)
class BatchDone:
    """A batch is durable: its rows are written, its snapshots sent, its offset moved.

    `dropped`: old dead letters that had to go for its own, 0 where the answer that told it was lost.
    """

    entries: int
    invalid: Sequence[InvalidEntry]
    plan: Plan
    last: EntryId
    seconds: Mapping[str, float]
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Idle:
    """A read found nothing new, or the worker stands by: the loop came round once more."""

    offset: EntryId


@dataclass(frozen=True, slots=True)
class OffsetMoved:
    """Somebody else moved the offset; the worker follows it (I6).

    `owed`: games that get a snapshot of their row as it is, because this worker may have moved their status and has
    not said so.
    """

    old: str | None
    new: str | None
    owed: int


@dataclass(frozen=True, slots=True)
class RolledBack:
    """Redis has lost commits that this worker had seen, as a promoted replica may: from offset `old` back to `new`.

    What else it held may be lost as well: entries of the stream, and snapshots; `owed` games whose status had been
    told get a snapshot of their row as it is.
    """

    old: str | None
    new: str | None
    owed: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """A dependency cannot be reached; the same batch is tried again after `seconds`."""

    error: str
    seconds: float
    attempt: int


@dataclass(frozen=True, slots=True)
class Recovered:
    """The first step that worked after `attempts` that did not."""

    attempts: int


@dataclass(frozen=True, slots=True)
class Standby:
    """Another session holds the writer's lock; the worker waits to take over."""

    holder: str | None


@dataclass(frozen=True, slots=True)
class Active:
    """The worker holds the writer's lock and goes on after `offset`."""

    offset: EntryId


@dataclass(frozen=True, slots=True)
class FailedOver:
    """PostgreSQL goes on on another timeline, which may lack the last commits; what follows `start` is run again.

    `start` equals `offset` where nothing was written shortly before.
    """

    timeline: str
    offset: EntryId
    start: EntryId


Notice = BatchDone | Idle | OffsetMoved | FailedOver | RolledBack | Break | Waiting | Recovered | Standby | Active


class Observer(Protocol):
    """Is told what the worker did: logs, metrics, progress bars."""

    def __call__(self, notice: Notice, /) -> None:
        """Take note. Must not raise and must not block: the worker waits for it."""
