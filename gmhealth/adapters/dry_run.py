"""Rows and ledger that only remember: a rehearsal runs the real worker over them and touches nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

from gmhealth.core.commit_record import CommitRecord, Server
from gmhealth.core.continuity import Break
from gmhealth.core.journal import Stored
from gmhealth.core.outage import Outage
from gmhealth.core.plan import NetEffect, Row, apply
from gmhealth.core.snapshot import Snapshot
from gmhealth.worker.ports import Commit, Lock, Meanwhile, Rows, Saved, Wrote, nothing

NOW: Final = "2000-01-01 00:00:00+00"
"""The time of a rehearsal. Its commits need one, and nobody compares it with another."""


@dataclass(slots=True)
class DryRunRows:
    """Starts from the real rows, as they are when first asked for, and keeps every change to itself.

    `before` has them as they were found, `after` as they are after what was rehearsed.
    """

    real: Rows
    before: dict[str, Row] = field(default_factory=dict)
    after: dict[str, Row] = field(default_factory=dict)

    @property
    def server(self) -> Server:
        """No server in particular."""
        return Server()

    def lock(self) -> Lock:
        """A rehearsal needs no lock."""
        return Lock.HELD

    def holder(self) -> str | None:
        """Nobody holds a lock that is not needed."""
        return None

    def close(self) -> None:
        """There is no session to end."""

    def now(self) -> str:
        """Always the same."""
        return NOW

    def write(self, effects: Sequence[NetEffect], since: str, meanwhile: Meanwhile = nothing) -> Wrote:  # noqa: ARG002
        """Apply the effects to what is remembered, at no time."""
        meanwhile()
        written = apply(effects, self._load([effect.game_id for effect in effects]))
        self.after.update({game_id: each.row for game_id, each in written.items()})
        return Wrote("", written)

    def find(self, game_ids: Collection[str]) -> Sequence[Stored]:
        """Load what is remembered."""
        return [Stored(game_id, row, "", None) for game_id, row in self._load(game_ids).items()]

    def changed_since(self, at: str, after: Stored | None, limit: int) -> Sequence[Stored]:  # noqa: ARG002
        """Whatever is rehearsed is published by its own events."""
        return []

    def show_outage(self, outage: Outage | None) -> None:
        """Nobody looks at a rehearsal."""

    def keep_alive(self) -> None:
        """There is no session to keep."""

    def _load(self, game_ids: Collection[str]) -> dict[str, Row]:
        """Load rows not seen before from the real ones."""
        unseen = [game_id for game_id in game_ids if game_id not in self.after]
        if unseen:
            rows = {stored.game_id: stored.row for stored in self.real.find(unseen)}
            self.before.update(rows)
            self.after.update(rows)
        return {game_id: self.after[game_id] for game_id in game_ids if game_id in self.after}


@dataclass(slots=True)
class DryRunLedger:
    """Counts what would be sent per game, and keeps the last of it."""

    sent: Counter[str] = field(default_factory=Counter)
    last: dict[str, Snapshot] = field(default_factory=dict)
    record: CommitRecord | None = None

    def saved(self) -> Saved:
        """The last commit's record; a rehearsal saves no offset."""
        return Saved(None) if self.record is None else Saved(None, self.record.pack(), record=self.record)

    def commit(self, commit: Commit, meanwhile: Meanwhile = nothing) -> None:
        """Count the snapshots."""
        meanwhile()
        for snapshot in commit.snapshots:
            self.sent[snapshot.game_id] += 1
            self.last[snapshot.game_id] = snapshot
        self.record = commit.record

    def recent_writes(self) -> Sequence[bytes]:
        """No server has lost what none has got."""
        return []

    def note(self, broken: Break, at_ms: int) -> None:
        """A rehearsal does not read on from the offset, and finds no break."""

    def show_outage(self, outage: Outage | None) -> None:
        """Nobody looks at a rehearsal."""
