"""Trying a range out: the real worker over rows and a ledger that only remember. Nothing is written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gmhealth import bootstrap
from gmhealth.adapters.dry_run import DryRunLedger, DryRunRows
from gmhealth.core.entry import EntryId
from gmhealth.core.events import HealthEvent, decode
from gmhealth.core.plan import Outcome, Row
from gmhealth.operations.models import GamePlanView
from gmhealth.operations.session import Count, no_count
from gmhealth.worker.events import BatchDone, Report
from gmhealth.worker.job import Job
from gmhealth.worker.ports import Stop

if TYPE_CHECKING:
    from gmhealth.bootstrap import Parts


@dataclass(slots=True)
class DryRun:
    """What a range would do; `on` hears of each batch's entries."""

    rows: DryRunRows
    on: Count
    entries: int = 0
    invalid: int = 0
    unknown_games: set[str] = field(default_factory=set)
    ledger: DryRunLedger = field(default_factory=DryRunLedger)

    def __call__(self, report: Report) -> None:
        """Count what a batch did."""
        if isinstance(report, BatchDone):
            self.entries += report.entries
            self.on(report.entries)
            self.invalid += len(report.invalid)
            self.unknown_games |= {step.event.game_id for step in report.plan.steps if step.outcome is Outcome.NO_ROW}

    @property
    def touched(self) -> list[str]:
        """The games that have a row and an event in the range."""
        return sorted(self.rows.before)

    def games(self) -> list[GamePlanView]:
        """Now and after, per game."""
        return [self._game(game_id) for game_id in self.touched]

    def status_changes(self) -> list[GamePlanView]:
        """Those games whose status would be another one afterwards."""
        return [game for game in self.games() if game.status != game.status_after]

    def _game(self, game_id: str) -> GamePlanView:
        before, after = self.rows.before[game_id], self.rows.after[game_id]
        return game_plan(game_id, before, after, self.ledger.sent[game_id])


def game_plan(game_id: str, before: Row, after: Row, snapshots: int) -> GamePlanView:
    """Show what becomes of a row."""
    return GamePlanView(
        game_id=game_id,
        status=before.status,
        status_after=after.status,
        summary=before.engine_health,
        summary_after=after.engine_health,
        snapshots=snapshots,
    )


def dry_run(parts: Parts, job: Job, stop: Stop, on: Count = no_count) -> DryRun:
    """Run `job` (bounded, with a start) over the rows as they are, writing nothing."""

    found = DryRun(DryRunRows(parts.rows), on)
    try:
        bootstrap.rehearsal(parts, found.rows, found.ledger, job, found).run(stop)
    finally:
        parts.rows.close()  # once all games are known it idles, and may have been ended as frozen
    return found


def games_after(parts: Parts, last: EntryId, games: Iterable[str]) -> list[str]:
    """Those of `games` that have newer events, strictly after `last`, which were consumed: nobody will run them again.

    What is still unread comes after the replay, as it should.
    """
    wanted = set(games)
    found: set[str] = set()
    for entry in parts.queries.forward(parts.keys.source, last, parts.ledger.found().entry_id):
        if found == wanted:
            break
        event = decode(entry)
        if isinstance(event, HealthEvent) and event.game_id in wanted:
            found.add(event.game_id)
    return sorted(found)
