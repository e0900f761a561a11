"""What the consumer waits for, as it says itself on the server that it can still reach."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from gmhealth.core.outage import Outage
from gmhealth.errors import GmhealthError, Unavailable
from gmhealth.operations.models import WaitingView
from gmhealth.operations.times import EPOCH, ago, from_ms

if TYPE_CHECKING:
    from datetime import datetime

    from gmhealth.bootstrap import Parts


def waiting(parts: Parts) -> WaitingView | None:
    """Ask both servers."""
    return _view(*parts.rows.outage()) or _view(*parts.ledger.outage())


def waiting_as_well(parts: Parts, error: Unavailable) -> WaitingView | None:
    """Whether the consumer waits for the server that does not answer us either."""
    with suppress(GmhealthError):
        if error.server == "Redis":
            return _view(*parts.rows.outage())
        if error.server == "PostgreSQL":
            return _view(*parts.ledger.outage())
    return None


def _view(worker: str, outage: Outage | None) -> WaitingView | None:
    if outage is None:
        return None
    since = from_ms(outage.since_s * 1000) or EPOCH
    return WaitingView(
        worker=worker,
        server=outage.server,
        cause=outage.cause,
        since=since,
        tries=outage.tries,
        detail=outage.detail,
    )


def waiting_text(view: WaitingView | None, now: datetime) -> str:
    """Say it with its age."""
    if view is None:
        return "for nothing"
    since = f"{view.since:%Y-%m-%d %H:%M:%S} UTC, {ago((now - view.since).total_seconds())}"
    return f"for {view.server} since {since}; {view.tries:,} tries failed, the last by {view.cause} ({view.worker})"
