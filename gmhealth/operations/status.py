"""What `gmhealth status` shows: consumer, lag, rate, and the games that are not healthy."""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime
from typing import Final

from gmhealth.core.entry import EntryId
from gmhealth.core.lag_state import LagSample, evaluate, recent
from gmhealth.errors import Unavailable
from gmhealth.operations.leader import holder, waiting, waiting_as_well, waiting_text
from gmhealth.operations.models import RowView, StatusView
from gmhealth.operations.position import entry_view, standing
from gmhealth.operations.session import Session
from gmhealth.operations.times import EPOCH, from_ms

COUNTED: Final = 10_000


def status_or_who_waits(opened: Session, games: int) -> StatusView:
    """Look once; where a server does not answer, the other one may know whether the consumer waits for it, too."""
    try:
        return status(opened, games, [])
    except Unavailable as error:
        view = waiting_as_well(opened.parts, error)
        if view is not None:
            error.hint = f"the consumer waits {waiting_text(view, datetime.now(UTC))}"
        raise


def status(opened: Session, games: int, samples: list[LagSample]) -> StatusView:
    """Look once more; `samples` are those before, and get this one."""

    parts = opened.parts
    found, now_ms = standing(parts), parts.queries.now_ms()
    minute_ago = EntryId(max(0, now_ms - 60_000), 0)
    per_minute = parts.queries.count_after(opened.settings.health_stream, minute_ago, COUNTED)
    by_status, by_summary = Counter[str](), Counter[str]()
    with parts.games.held():
        counts = parts.games.counts()
        unhealthy, total = parts.games.unhealthy(games)
        try:
            held, waits = holder(parts), waiting(parts)
        finally:
            parts.rows.close()  # the next look may be further away than a session may idle
    for (status_name, summary), count in counts.items():
        by_status[status_name] += count
        by_summary[summary or "(never reported)"] += count
    samples.append(LagSample(time.monotonic(), found.saved.entry_id, found.lag.seconds, held.consumer is not None))
    samples[:] = recent(samples)
    return StatusView(
        target=opened.target,
        state=evaluate(samples).value,
        consumer=held.consumer,
        replay=held.replay,
        waiting=waits,
        offset=None if found.saved.is_first else entry_view(found.saved.entry_id),
        lag=found.lag,
        gap=found.gap,
        last_break=found.last_break,
        events_per_minute=per_minute,
        events_per_minute_exact=per_minute < COUNTED,
        dead_letters=parts.letters.count(),
        dead_letters_dropped=parts.letters.dropped(),
        by_status=_sorted(by_status),
        by_summary=_sorted(by_summary),
        unhealthy=[RowView(**row._asdict()) for row in unhealthy],
        unhealthy_total=total,
        looked_at=from_ms(now_ms) or EPOCH,
    )


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))
