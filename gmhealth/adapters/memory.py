"""Rows and ledger that only remember: a rehearsal runs the real worker over them and touches nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from gmhealth.core.continuity import Break
from gmhealth.core.outage import Outage
from gmhealth.core.plan import NetEffect, Row, Written, apply
from gmhealth.core.snapshot import Snapshot
from gmhealth.worker.ports import Commit, Lock, Meanwhile, Rows, Saved, nothing


@dataclass(slots=True)
class RehearsalRows:
    """Starts from the real rows, as they are when first asked for, and keeps every change to itself."""

    real: Rows
    before: dict[str, Row] = field(default_factory=dict)
    now: dict[str, Row] = field(default_factory=dict)

    @property
    def timeline(self) -> str:
        """What is rehearsed is lost anyhow."""
        return ""

    def lock(self) -> Lock:
        """A rehearsal needs no lock."""
        return Lock.HELD

    def holder(self) -> str | None:
        """Nobody holds a lock that is not needed."""
        return None

    def load(self, game_ids: Collection[str]) -> Mapping[str, Row]:
        """Load rows not seen before from the real ones."""
        unseen = [game_id for game_id in game_ids if game_id not in self.now]
        if unseen:
            rows = self.real.load(unseen)
            self.before.update(rows)
            self.now.update(rows)
        return {game_id: self.now[game_id] for game_id in game_ids if game_id in self.now}

    def write(self, effects: Sequence[NetEffect], meanwhile: Meanwhile = nothing) -> Mapping[str, Written]:
        """Apply the effects to what is remembered."""
        meanwhile()
        written = apply(effects, self.load([effect.game_id for effect in effects]))
        self.now.update({game_id: row for game_id, (_, row) in written.items()})
        return written

    def tell(self, outage: Outage | None) -> None:
        """Nobody looks at a rehearsal."""

    def keep_alive(self) -> None:
        """There is no session to keep."""


@dataclass(slots=True)
class RehearsalLedger:
    """Counts what would be sent per game, and keeps the last of it."""

    sent: Counter[str] = field(default_factory=Counter)
    last: dict[str, Snapshot] = field(default_factory=dict)
    mark: str | None = None

    def saved(self) -> Saved:
        """A rehearsal has saved nothing."""
        return Saved(None, self.mark)

    def commit(self, commit: Commit, meanwhile: Meanwhile = nothing) -> None:
        """Count the snapshots."""
        meanwhile()
        for snapshot in commit.snapshots:
            self.sent[snapshot.game_id] += 1
            self.last[snapshot.game_id] = snapshot
        self.mark = commit.mark

    def note(self, broken: Break, at_ms: int) -> None:
        """A rehearsal does not read on from the offset, and finds no break."""

    def tell(self, outage: Outage | None) -> None:
        """Nobody looks at a rehearsal."""
