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

from gmhealth.core.commit_record import CommitRecord, Server
from gmhealth.core.continuity import Break, StreamState
from gmhealth.core.entry import START, Entry, EntryId
from gmhealth.core.events import InvalidEntry
from gmhealth.core.journal import Stored
from gmhealth.core.outage import Outage
from gmhealth.core.pause import Pause
from gmhealth.core.plan import NetEffect, Refusal, Written
from gmhealth.core.snapshot import Snapshot

Meanwhile: TypeAlias = Callable[[], None]
"""Work to do while a server is busy: called at most once, after the request has left and before its answer is read."""


def nothing() -> None:
    """Do nothing meanwhile."""


@dataclass(frozen=True, slots=True)
class Saved:
    """What Redis holds of a consumer: offset and commit record, both as they are written, and whether it is paused.

    `text` is None while no offset was saved, or its key is gone: `entry_id` is then where the last commit left it, if
    there was one, as that is where a consumer goes on. It is kept as written, because the fence compares texts ("5"
    and "5-0" are one place and two texts). `packed` is what the commit record's key holds, b"" for nothing, and
    `record` what that says, None for nothing that could be read. `pause` is None as well in what a commit refused for
    another one returns; it takes no part in the fence.
    """

    text: str | None
    packed: bytes = b""
    entry_id: EntryId = START
    record: CommitRecord | None = None
    pause: Pause | None = None

    @property
    def is_readable(self) -> bool:
        """Whether the offset is an entry ID, or was never saved. One that is not is nowhere: only its text counts."""
        return self.text is None or EntryId.parse(self.text) is not None

    @property
    def is_first(self) -> bool:
        """Whether a consumer would start at the beginning, as nothing was ever saved."""
        return self.text is None and (self.record is None or self.record.entry_id is None)

    @property
    def entries_read(self) -> int | None:
        """How many entries were ever added up to the offset; None where it is not known, as after a reset."""
        record = self.record
        return record.entries_read if record is not None and record.entry_id == self.entry_id else None


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
    """All that one commit does on Redis.

    It applies only while the commit record has the bytes of `fence`, and, with `fences_offset`, while the offset has
    its text: a replay leaves the offset to others, and so goes by the record alone. `offset`: the new one, or None to
    leave it. `journal` and `writes` are empty where nothing was done that belongs there; `games` is how many are in
    `writes`.
    """

    fence: Saved
    fences_offset: bool
    record: CommitRecord
    offset: EntryId | None = None
    snapshots: Sequence[Snapshot] = ()
    dead_letters: Sequence[InvalidEntry] = ()
    job: str = ""
    journal: bytes = b""
    writes: bytes = b""
    games: int = 0


class Dropped(NamedTuple):
    """So many of the oldest dead letters were deleted to keep to their limit."""

    letters: int


class Ledger(Protocol):
    """The saved offset, and the one step that moves it."""

    def saved(self) -> Saved:
        """Load offset and commit record. Raises `Unusable` if the offset's key holds no entry ID; writes nothing."""

    def commit(self, commit: Commit, meanwhile: Meanwhile = nothing) -> Saved | Dropped | None:
        """Append snapshots, dead letters and journal, move the offset and set the record, in one atomic step (I5).

        None or `Dropped`: it was applied, all of it. Otherwise nothing was, because the offset has moved, or somebody
        else has committed, and now the returned one stands (I6). After `Unavailable` nobody knows: settle.
        """

    def recent_writes(self) -> Sequence[bytes]:
        """Load what the last minute of writes left, oldest first, as `core.journal` packed it."""

    def note(self, broken: Break, at_ms: int) -> None:
        """Keep `broken` for those who look later, with the time it was first seen. May be repeated."""

    def show_outage(self, outage: Outage | None) -> None:
        """Show those who look here what this worker waits for elsewhere; None: nothing any more."""


class Lock(Enum):
    """The leader lock, as one try found it."""

    HELD = "held"
    TAKEN = "taken"
    REFUSED = "refused"


class Wrote(NamedTuple):
    """What a write found and left: `at` is PostgreSQL's time of it as text, "" where no row was written.

    `skipped` games have a row that was found and not updated, as by a policy without UPDATE, or a trigger. A `refusal`
    is that of one of the rows, and nothing was written.
    """

    at: str
    rows: Mapping[str, Written]
    skipped: Collection[str] = ()
    refusal: Refusal | None = None


class Rows(Protocol):
    """Game Master's `runtime_records`, and the leader lock that lives on the same session (design 3.4)."""

    @property
    def server(self) -> Server:
        """The server that the session with the lock is on, as it said when the lock was asked for."""

    def lock(self) -> Lock:
        """Make sure this session holds the leader lock, without waiting for it.

        TAKEN: just now, perhaps in a new session; another leader may have been at work before. REFUSED: another
        session holds it.
        """

    def holder(self) -> str | None:
        """Name who holds the leader lock, for a message; None if nobody does."""

    def close(self) -> None:
        """End the session, and with it the lock. The next call opens another one."""

    def now(self) -> str:
        """PostgreSQL's time, as text that sorts as time does."""

    def write(self, effects: Sequence[NetEffect], since: str, meanwhile: Meanwhile = nothing) -> Wrote:
        """Apply every effect to its row as it is found under the row's lock, in one transaction (I4, D2, D3).

        Each row's `updated_at` comes out later than `since`, `now` at the least, and later than it was. Returns what
        was found and the rows as they are after it (D5); a game without a row is left out, and so is one whose status
        or turn is NULL, which is not touched. `effects` come in `game_id` order, at most one a game, and their rows
        are locked in it. No lock outlives the one statement this takes.
        """

    def find(self, game_ids: Collection[str]) -> Sequence[Stored]:
        """Load the rows of `game_ids` without locks; those without a row, or with NULL in one, are left out."""

    def changed_since(self, at: str, after: Stored | None, limit: int) -> Sequence[Stored]:
        """Load up to `limit` rows that have a summary and changed later than `at`, in order of that time and game.

        `after`: the last row of the page before.
        """

    def show_outage(self, outage: Outage | None) -> None:
        """Show those who look here what this worker waits for elsewhere; None: nothing any more."""

    def keep_alive(self) -> None:
        """Use the session, so that the server does not end it as frozen."""


class Stop(Protocol):
    """A request to stop, as `threading.Event` has it."""

    def is_set(self) -> bool:
        """Whether stopping was asked for."""

    def wait(self, timeout: float) -> bool:
        """Wait for the request, at most `timeout` seconds; whether it came."""
