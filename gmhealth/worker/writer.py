"""Writing a batch's events: their net effects in one statement, then the fold over what that found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gmhealth.core.events import HealthEvent
from gmhealth.core.plan import Plan, fold, may_move, net_effects
from gmhealth.worker.ports import Meanwhile, Rows, nothing


class Writer:
    """Writes rows; PostgreSQL decides under each row's lock, so there is no race to lose (I4). Remembers nothing.

    `swap=False` moves no status.
    """

    def __init__(self, rows: Rows, *, swap: bool) -> None:
        self._rows, self._swap = rows, swap

    def write(
        self,
        events: Sequence[HealthEvent],
        emitted: Mapping[str, str],
        owed: dict[str, int],
        meanwhile: Meanwhile = nothing,
    ) -> Plan:
        """Write `events` and tell what they did. `meanwhile` is handed on to the write.

        Games whose status the write may move are put into `owed` before it is sent, as its answer may be lost; once
        that has come, only those that were moved stay in it.
        """
        if not events:
            meanwhile()
            self._rows.keep_alive()  # a session that is not used ends, and the writer's lock with it (design 3.4)
            return Plan()
        before = dict(owed)
        if self._swap:
            owed.update(may_move(events))
        written = self._rows.write(net_effects(events, swap=self._swap), meanwhile)
        plan = fold(events, written, emitted, swap=self._swap)
        owed.clear()
        owed.update(before, **plan.moved)
        return plan
