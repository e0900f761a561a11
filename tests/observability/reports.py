"""Reports as the worker gives them."""

from __future__ import annotations

from collections.abc import Sequence

from gmhealth.core.entry import EntryId
from gmhealth.core.events import HealthEvent, InvalidEntry
from gmhealth.core.plan import Row, plan_for
from gmhealth.core.rules import EventType
from gmhealth.worker.events import BatchDone

NOW_S = 1_795_449_400.0
LAST = EntryId(1_795_449_399_000, 3)


def event(kind: EventType, game_id: str = "game-a", *, delay_s: float = 1.0) -> HealthEvent:
    """An event that happened `delay_s` before `NOW_S`."""
    return HealthEvent(str(LAST).encode(), game_id, kind, round((NOW_S - delay_s) * 1000))


def batch(
    events: Sequence[HealthEvent],
    invalid: Sequence[InvalidEntry] = (),
    *,
    status: str = "running",
    sent: str = "",
    last: EntryId = LAST,
) -> BatchDone:
    """A batch over one row, `game-a`, whose last snapshot had the summary `sent`."""
    plan = plan_for(events, {"game-a": Row(status, 7, "")}, {"game-a": sent})
    seconds = {"decode": 0.002, "write": 0.04, "publish": 0.003}
    return BatchDone(len(events) + len(invalid), invalid, plan, last, seconds)
