"""Planning a batch's events and writing their rows until every change has applied to the row it was planned from."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from gmhealth.core.events import HealthEvent
from gmhealth.core.plan import Change, Plan, Row, fold, shared_row
from gmhealth.ports import Meanwhile, Rows, nothing

GUARDED_TRIES: Final = 3
"""After three lost races a game's events are planned as conflicts and written unguarded (design 3.1, step 5)."""
REMEMBERED: Final = 100_000
"""About so many rows are remembered: some 150 bytes each, with the debounce state of the same games."""


class Writer:
    """Writes what the fold plans, by compare-and-swap (I4).

    A row is planned from as it was when it was loaded, or as our last write left it, if that is remembered: the guard
    finds out whether it still is so, and a game whose memory was stale is loaded and planned again. That saves the
    load, a round trip of three, for most events. `swap=False` moves no status.
    """

    def __init__(self, rows: Rows, *, swap: bool) -> None:
        self._rows, self._swap = rows, swap
        self._remembered: dict[str, Row] = {}

    def forget(self, game_ids: Collection[str] | None = None) -> None:
        """Remember these rows (None: all) no longer: a write of unknown outcome, or another writer, may have passed."""
        if game_ids is None:
            self._remembered.clear()
        else:
            for game_id in game_ids:
                self._remembered.pop(game_id, None)

    def write(
        self,
        events: Sequence[HealthEvent],
        emitted: Mapping[str, str],
        may_move: dict[str, int],
        meanwhile: Meanwhile = nothing,
    ) -> tuple[Plan, int]:
        """Write `events`; returns the plan as it was applied, and how many races were lost on the way.

        Games whose status a write may move are put into `may_move` before it is sent, as its answer may be lost.
        `meanwhile` is handed on to the first write.
        """
        if not events:
            meanwhile()
            self._rows.keep_alive()  # a session that is not used ends, and the writer's lock with it (design 3.4)
            return Plan(), 0
        if len(self._remembered) > REMEMBERED:
            self._remembered.clear()
        games = {event.game_id for event in events}
        loaded = games - self._remembered.keys()
        self._load(loaded)
        plan, lost = self._try(events, emitted, may_move, meanwhile)
        races = len(lost & loaded)
        for _ in range(GUARDED_TRIES - 1 if loaded == games else GUARDED_TRIES):
            if not lost:
                return plan, races
            self._load(lost)
            again, still_lost = self._try(_of(events, lost), emitted, may_move)
            plan, lost = plan.replaced(again, lost), still_lost
            races += len(lost)
        if lost:
            plan = plan.replaced(self._give_way(_of(events, lost), plan.changes, lost, emitted), lost)
        return plan, races

    def _load(self, game_ids: Collection[str]) -> None:
        if game_ids:
            rows = self._rows.load(game_ids)
            # Under the events' own strings, which the debounce state has as well: one for each game in memory.
            self._remembered.update({game_id: rows[game_id] for game_id in game_ids if game_id in rows})

    def _try(
        self,
        events: Sequence[HealthEvent],
        emitted: Mapping[str, str],
        may_move: dict[str, int],
        meanwhile: Meanwhile = nothing,
    ) -> tuple[Plan, frozenset[str]]:
        plan = fold(events, self._remembered, emitted, swap=self._swap)
        # A status that is moved and moved back within the batch is no transition of the row.
        moving = [change for change in plan.changes if change.status != change.expected]
        may_move.update({change.game_id: plan.moved[change.game_id] for change in moving})
        lost = frozenset(self._rows.write(plan.changes, meanwhile))
        # What a row is planned from is its status and its turn. The summary of one that was not moved is left to age.
        for change in moving:
            self._remembered[change.game_id] = shared_row(change.status, change.current_turn, change.summary)
        self.forget(lost)
        return plan, lost

    def _give_way(
        self,
        events: Sequence[HealthEvent],
        changes: Sequence[Change],
        lost: frozenset[str],
        emitted: Mapping[str, str],
    ) -> Plan:
        rows = self._rows.write_summaries([change for change in changes if change.game_id in lost])
        return fold(events, rows, emitted, swap=False)


def _of(events: Sequence[HealthEvent], games: frozenset[str]) -> list[HealthEvent]:
    return [event for event in events if event.game_id in games]
