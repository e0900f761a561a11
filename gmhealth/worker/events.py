"""What a worker reports of what it does, to logs, metrics and progress bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Protocol

from gmhealth.core.continuity import Break
from gmhealth.core.entry import EntryId
from gmhealth.core.events import InvalidEntry
from gmhealth.core.plan import Plan, Refusal

LONGEST: Final = 200
"""Characters of a text that anybody can have set, where it stands in a line."""


@dataclass(frozen=True, slots=True)
class BatchDone:
    """A batch is durable: its rows are written, its snapshots sent, its offset moved.

    `invalid` went to the dead letters, those of the `refused` games among them. `dropped`: old dead letters that had to
    go for its own, 0 where the answer that told it was lost.
    """

    entries: int
    invalid: Sequence[InvalidEntry]
    plan: Plan
    last: EntryId
    seconds: Mapping[str, float]
    dropped: int = 0
    refused: Mapping[str, Refusal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Idle:
    """A read found nothing new, or the worker stands by or is paused: the loop came round once more."""

    offset: EntryId


@dataclass(frozen=True, slots=True)
class OffsetMoved:
    """Somebody else moved the offset; the worker follows it (I6)."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class OffsetRestored:
    """The offset's key was gone; it was set again to where the commit record says that the last commit left it."""

    offset: EntryId


@dataclass(frozen=True, slots=True)
class RecordUnreadable:
    """What is in the commit record's key cannot be read; it is made anew, as where there is none."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What a fault, or another leader, may have left is known and mended (design 3.4); reading goes on after `offset`.

    `published` games got a snapshot of their row as it stands, without an event; `repaired` ones had lost what was
    written to their row, which was written again, but for those that were `refused` this time.
    """

    offset: EntryId
    published: int
    repaired: int
    refused: Mapping[str, Refusal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A dependency cannot be reached; the same batch is tried again after `seconds`."""

    error: str
    seconds: float
    attempt: int


@dataclass(frozen=True, slots=True)
class BatchHalved:
    """A batch failed by what its size can cause, as a time-out; the next ones hold `entries` at most, for a while."""

    error: str
    entries: int


@dataclass(frozen=True, slots=True)
class Recovered:
    """The first step that worked after `attempts` that did not."""

    attempts: int


@dataclass(frozen=True, slots=True)
class Standby:
    """Another leader consumes; the worker waits to take over. `holder`: who has the lock, or why it is not for us."""

    holder: str | None


@dataclass(frozen=True, slots=True)
class Paused:
    """Consumers are asked to hold: this one has neither lock nor session until the key is gone (design 3.6)."""

    who: str
    why: str
    until_ms: int | None

    @property
    def until(self) -> str:
        """The end that was announced, for a person."""
        if self.until_ms is None:
            return "an unknown time"
        return f"{datetime.fromtimestamp(self.until_ms // 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"

    def __str__(self) -> str:
        """Who, until when and why, in one line of printable characters."""
        why = f" ({_printable(self.why)})" if self.why else ""
        return f"paused by {_printable(self.who)} until {self.until}{why}"


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else " " for each in text[:LONGEST])


@dataclass(frozen=True, slots=True)
class Active:
    """The worker holds the leader lock and goes on after `offset`."""

    offset: EntryId


Report = (
    BatchDone
    | BatchHalved
    | Idle
    | OffsetMoved
    | OffsetRestored
    | RecordUnreadable
    | Settled
    | Break
    | Waiting
    | Recovered
    | Standby
    | Paused
    | Active
)


class Observer(Protocol):
    """Is told what the worker did: logs, metrics, progress bars."""

    def __call__(self, report: Report, /) -> None:
        """Take note. Must not raise and must not block: the worker waits for it."""
