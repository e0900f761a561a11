"""Who holds the leader lock, and what that one waits for (design 3.4)."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from gmhealth.core.outage import Outage
from gmhealth.errors import GmhealthError, Unavailable
from gmhealth.operations.models import WaitingView
from gmhealth.operations.times import EPOCH, ago, from_ms

if TYPE_CHECKING:
    from datetime import datetime

    from gmhealth.bootstrap import Parts


REPLAY: Final = "gmhealth re"
"""How the name of a replay's session begins, as far as an outage leaves room for it (`core.outage.pack_outage`)."""


class Holder(NamedTuple):
    """One of both by its name, or neither."""

    consumer: str | None
    replay: str | None


def holder(parts: Parts) -> Holder:
    """Look who holds the lock."""
    return holder_named(parts.rows.holder())


def holder_named(name: str | None) -> Holder:
    """Tell a replay from a consumer."""
    return Holder(None, name) if name is not None and name.startswith(REPLAY) else Holder(name, None)


def consumer_text(consumer: str | None, replay: str | None) -> str:
    """Name the consumer, or say why there is none."""
    if consumer is not None:
        return consumer
    return f"none: a replay holds the leader lock, {replay}" if replay else "none: nobody holds the leader lock"


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
