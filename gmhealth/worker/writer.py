"""Writing a batch's events: their net effects in one statement, then the fold over what that found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from gmhealth.core.entry import Entry
from gmhealth.core.events import HealthEvent, InvalidEntry, Reason, dead_letter
from gmhealth.core.journal import Line
from gmhealth.core.plan import NetEffect, Outcome, Plan, Refusal, fold, net_effects
from gmhealth.core.snapshot import remember
from gmhealth.worker.isolation import Applied, Isolation
from gmhealth.worker.ports import Meanwhile, Rows, nothing


class Written(NamedTuple):
    """What a batch did, a line for each row that it wrote, and why PostgreSQL refused those of some games.

    `at` is PostgreSQL's time of it, "" where it wrote none.
    """

    plan: Plan
    lines: Sequence[Line] = ()
    at: str = ""
    refused: Mapping[str, Refusal] = MappingProxyType({})


class Writer:
    """Writes rows; PostgreSQL decides under each row's lock, so there is no race to lose (I4).

    Keeps the last summary published for each game (D4). `swap=False` moves no status.
    """

    def __init__(self, rows: Rows, *, swap: bool) -> None:
        self._rows, self._isolation, self._swap = rows, Isolation(rows), swap
        self._published: dict[str, str] = {}

    def write(self, events: Sequence[HealthEvent], since: str, meanwhile: Meanwhile = nothing) -> Written:
        """Write `events`, later than `since`, and tell what they did. `meanwhile` is handed on to the write."""
        if not events:
            meanwhile()
            self._rows.keep_alive()  # a session that is not used ends, and the leader lock with it (design 3.4)
            return Written(Plan())
        effects = net_effects(events, swap=self._swap)
        applied = self._isolation.write(effects, since, meanwhile)
        plan = fold(events, applied.rows, self._published, swap=self._swap, refused=applied.refused)
        return Written(plan, _lines(effects, applied), applied.at, applied.refused)

    def published(self, plan: Plan) -> None:
        """Remember what was published: only once its commit was applied."""
        remember(self._published, plan.summaries)

    def forget(self) -> None:
        """Forget what was published: each game's next event is published again (design 3.4, 4)."""
        self._published.clear()


def dead_letters(entries: Iterable[Entry], written: Written) -> list[InvalidEntry]:
    """Make the dead letters of the events whose game's row was refused (I7)."""
    if not written.refused:
        return []
    games = {step.event.entry_id: step.event.game_id for step in written.plan.steps if step.outcome is Outcome.REFUSED}
    return [
        dead_letter(entry, Reason.ROW_REFUSED, written.refused[games[entry[0]]].text)
        for entry in entries
        if entry[0] in games
    ]


def _lines(effects: Sequence[NetEffect], applied: Applied) -> list[Line]:
    rows, at = applied.rows, applied.at
    lines: list[Line] = []
    for effect in effects:
        if (written := rows.get(effect.game_id)) is not None:
            row = written.row
            lines.append(
                Line(
                    effect.game_id,
                    effect.target,
                    effect.summary,
                    written.before,
                    row.status,
                    row.engine_health,
                    written.updated_at or at,
                )
            )
    return lines
