"""One worker's commits: each with a record of its own, sent after the record that was read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, NamedTuple

from gmhealth.core.commit_record import CommitRecord, Server
from gmhealth.core.continuity import Break, Place
from gmhealth.core.events import InvalidEntry
from gmhealth.core.journal import Line, pack_lines
from gmhealth.core.snapshot import Snapshot
from gmhealth.errors import Unusable
from gmhealth.worker.events import Observer
from gmhealth.worker.job import Job
from gmhealth.worker.ports import Commit, Ledger, Meanwhile, Saved, nothing
from gmhealth.worker.settle import went_back


class FenceLost(Exception):
    """Where a worker stood is no more, and what it sent was not applied: settle (I6).

    `by_another`: another process has committed, though this one, called `name`, has the leader lock; otherwise an
    operator moved the offset or deleted a key, or Redis went back.
    """

    def __init__(self, saved: Saved, fence: Saved, name: str) -> None:
        super().__init__("the offset or the commit record has changed")
        record, before = saved.record, fence.record.n if fence.record is not None else 0
        self.by_another = record is not None and record.worker != name and record.n > before


@dataclass(frozen=True, slots=True)
class Content:
    """What a commit appends; nothing, where it only sets the record. `lines` are the rows that were written."""

    snapshots: Sequence[Snapshot] = ()
    dead_letters: Sequence[InvalidEntry] = ()
    lines: Sequence[Line] = ()
    journal: bytes = b""
    job: str = ""


EMPTY: Final = Content()
"""Of a commit that only sets the record."""


class Position(NamedTuple):
    """Where a commit leaves the offset; `sets` whether it writes its key, or leaves that as it is."""

    place: Place
    sets: bool


class Commits:
    """Sends commits for the worker called `name`, and keeps the record that was seen last."""

    def __init__(self, ledger: Ledger, job: Job, observe: Observer, *, name: str, clock_ms: Callable[[], int]) -> None:
        self._ledger, self._job, self._observe = ledger, job, observe
        self.name, self._clock_ms = name, clock_ms
        self._seen: CommitRecord | None = None
        self._number = 0  # of the last record made, whether its commit was applied or not

    def look(self) -> Saved:
        """Load what is saved; notes and reports if Redis has gone back since the last look (I9)."""
        saved = self._ledger.saved()
        if (broken := went_back(self._seen, saved.record)) is not None:
            self.note(broken)
            self._observe(broken)
        self._seen = saved.record
        return saved

    def note(self, broken: Break) -> None:
        """Keep `broken` on Redis; a user who may not do that has it in log and metrics, and `doctor` shows why."""
        with suppress(Unusable):
            self._ledger.note(broken, self._clock_ms())

    def send(
        self,
        fence: Saved,
        position: Position,
        *,
        written_at: str,
        server: Server,
        verified: bool,
        content: Content = EMPTY,
        meanwhile: Meanwhile = nothing,
    ) -> tuple[Saved, int]:
        """Commit after `fence`; returns what is saved then, and how many dead letters were dropped for it.

        Raises `FenceLost` where nothing was applied, and `Unavailable` where nobody knows.
        """
        self._number = max(self._number, fence.record.n if fence.record else 0) + 1
        saved = self._after(fence, position, written_at, server, verified=verified)
        assert saved.record is not None  # noqa: S101  # for mypy
        outcome = self._ledger.commit(
            Commit(
                fence=fence,
                fences_offset=self._job.moves_offset,
                record=saved.record,
                offset=position.place.offset if position.sets else None,
                snapshots=content.snapshots,
                dead_letters=content.dead_letters,
                job=content.job,
                journal=content.journal,
                writes=pack_lines(content.lines) if content.lines else b"",
                games=len(content.lines),
            ),
            meanwhile,
        )
        if isinstance(outcome, Saved):
            raise FenceLost(outcome, fence, self.name)
        self._seen = saved.record
        return saved, outcome.letters if outcome else 0

    def _after(self, fence: Saved, position: Position, written_at: str, server: Server, *, verified: bool) -> Saved:
        text, place = fence.text, position.place
        if position.sets:
            text = str(place.offset)
        offset, entries_read = text or "", place.count
        if not self._job.moves_offset and fence.record is not None:  # a replay leaves it to others
            offset, entries_read = fence.record.offset, fence.record.entries_read
        record = CommitRecord(self._number, self.name, offset, entries_read, written_at, server, verified)
        return Saved(text, record.pack(), place.offset if position.sets else fence.entry_id, record)
