"""Rows and ledger that only remember: a rehearsal runs the real worker over them and touches nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from msgspec.structs import replace

from gmhealth.core.continuity import Break
from gmhealth.core.outage import Outage
from gmhealth.core.plan import Change, Row
from gmhealth.core.snapshot import Snapshot
from gmhealth.ports import Commit, Lock, Meanwhile, Rows, Saved, nothing


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

    def write(self, changes: Sequence[Change], meanwhile: Meanwhile = nothing) -> AbstractSet[str]:
        """Apply the changes that still fit."""
        meanwhile()
        lost = set()
        for change in changes:
            row = self.now.get(change.game_id)
            if row is None or (row.status, row.current_turn) != (change.expected, change.current_turn):
                lost.add(change.game_id)
            else:
                self.now[change.game_id] = Row(change.status, change.current_turn, change.summary)
        return lost

    def write_summaries(self, changes: Sequence[Change]) -> Mapping[str, Row]:
        """Set the summaries alone."""
        for change in changes:
            if (row := self.now.get(change.game_id)) is not None:
                self.now[change.game_id] = replace(row, engine_health=change.summary)
        return {change.game_id: self.now[change.game_id] for change in changes if change.game_id in self.now}

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
