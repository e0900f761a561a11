"""What the worker needs from the world, each method with the guarantee it gives.

Words. A *stream* holds *entries*, each with an *entry ID*. The *offset* is the ID of the last entry whose effects are
durable (not of the next one to read): reading goes on strictly after it. *Lag* is what comes after the offset.

Every method may raise `Unavailable` (trying again may help; a write's outcome is then unknown) and `Unusable`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, Protocol, TypeAlias

from gmhealth.core.continuity import Break, StreamState
from gmhealth.core.entry import START, Entry, EntryId
from gmhealth.core.events import InvalidEntry
from gmhealth.core.mark import says_read
from gmhealth.core.outage import Outage
from gmhealth.core.plan import NetEffect, Row, Written
from gmhealth.core.snapshot import Snapshot
from gmhealth.core.tail import Tail

Meanwhile: TypeAlias = Callable[[], None]
"""Work to do while a server is busy: called at most once, after the request has left and before its answer is read."""


def nothing() -> None:
    """Do nothing meanwhile."""


@dataclass(frozen=True, slots=True)
class Saved:
    """What Redis holds of a consumer: the offset as it is written, and the mark of the last commit.

    `text` is None while nothing was saved. It is kept as written, because the fence compares texts ("5" and "5-0"
    are one place and two texts). `committed` is the offset that the last batch left: where it differs from `text`,
    somebody has moved the offset since. `tail` is what a failover would have to run again, None if it was not saved.
    """

    text: str | None
    mark: str | None
    entry_id: EntryId = START
    committed: str | None = None
    tail: Tail | None = None

    @property
    def is_readable(self) -> bool:
        """Whether the offset is an entry ID, or was never saved. One that is not is nowhere: only its text counts."""
        return self.text is None or EntryId.parse(self.text) is not None

    @property
    def was_read(self) -> bool:
        """Whether the offset is the ID of an entry that was read, as far as is known."""
        return self.text is not None and self.text == self.committed and says_read(self.mark)


class Read(NamedTuple):
    """One read of the stream: entries strictly after an ID, and what was true right after they were read.

    `unbroken`: the entry at that ID was still there *after* the read, so nothing before these entries was trimmed
    (trimming starts at the oldest); True as well when there was no entry to look for.
    """

    entries: Sequence[Entry]
    saved: Saved
    unbroken: bool


class Stream(Protocol):
    """The stream of health events."""

    def read(self, after: EntryId, limit: int, block_ms: int) -> Read:
        """Read up to `limit` entries strictly after `after`, in order, waiting up to `block_ms` for the first one."""

    def read_range(self, after: EntryId, last: EntryId, limit: int) -> Read:
        """Read up to `limit` entries strictly after `after` and up to `last`, in order, without waiting."""

    def state(self) -> StreamState:
        """Look at the stream as a whole."""


@dataclass(frozen=True, slots=True)
class Commit:
    """All that one batch sends to Redis.

    `fence`: what this batch was read after. `beside`: it is sent beside the turn of whoever moves the offset, by a
    replay or a standby: the fence is the mark alone, and what that one left stays: its offset, and its `tail`.
    `offset`: the new one, or None to leave it. `mark` is new for every attempt.
    """

    fence: Saved
    offset: EntryId | None
    mark: str
    snapshots: Sequence[Snapshot]
    dead_letters: Sequence[InvalidEntry]
    tail: Tail | None = None
    beside: bool = False


class Dropped(NamedTuple):
    """So many of the oldest dead letters were deleted to keep to their limit."""

    letters: int


class Ledger(Protocol):
    """The saved offset, and the one step that moves it."""

    def saved(self) -> Saved:
        """Load the offset and the mark. Raises `Unusable` if the key holds no entry ID; nothing is overwritten."""

    def commit(self, commit: Commit, meanwhile: Meanwhile = nothing) -> Saved | Dropped | None:
        """Append snapshots and dead letters and move the offset in one atomic, fenced step (I5).

        None or `Dropped`: it was applied, all of it. Otherwise nothing was, because the offset has moved, or somebody
        else has committed, and now the returned one stands (I6).
        After `Unavailable`, `saved().mark` tells whether it was applied.
        """

    def note(self, broken: Break, at_ms: int) -> None:
        """Keep `broken` for those who look later, with the time it was first seen. May be repeated."""

    def tell(self, outage: Outage | None) -> None:
        """Show those who look here what this worker waits for elsewhere; None: nothing any more."""


class Lock(Enum):
    """The writer's lock, as one try found it."""

    HELD = "held"
    TAKEN = "taken"
    REFUSED = "refused"


class Rows(Protocol):
    """Game Master's `runtime_records`, and the writer's lock that lives on the same session (design 3.4)."""

    @property
    def timeline(self) -> str:
        """Name the server's timeline, as the session that last asked for the lock found it; "" if it is not known.

        Each promotion begins another one, which may lack the last commits of the one before.
        """

    def lock(self) -> Lock:
        """Make sure this session holds the writer's lock, without waiting for it.

        TAKEN: just now, perhaps in a new session; another writer may have been at work before. REFUSED: another
        session holds it.
        """

    def holder(self) -> str | None:
        """Name who holds the writer's lock, for a message; None if nobody does."""

    def load(self, game_ids: Collection[str]) -> Mapping[str, Row]:
        """Load the rows of `game_ids` in one query without locks; a game without a row is left out."""

    def write(self, effects: Sequence[NetEffect], meanwhile: Meanwhile = nothing) -> Mapping[str, Written]:
        """Apply every effect to its row as it is found under the row's lock, in one transaction (I4, D2, D3).

        Returns what was found and the rows as they are after it (D5); a game without a row is left out, and so is one
        whose status or turn is NULL, which is not touched. `effects` come in `game_id` order, at most one a game, and
        their rows are locked in it. No lock outlives the one statement this takes.
        """

    def tell(self, outage: Outage | None) -> None:
        """Show those who look here what this worker waits for elsewhere; None: nothing any more."""

    def keep_alive(self) -> None:
        """Use the session, so that the server does not end it as frozen."""


class Stop(Protocol):
    """A request to stop, as `threading.Event` has it."""

    def is_set(self) -> bool:
        """Whether stopping was asked for."""

    def wait(self, timeout: float) -> bool:
        """Wait for the request, at most `timeout` seconds; whether it came."""
