"""Simulated events: made, planned, appended."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gmhealth.core.events import HealthEvent, InvalidEntry, decode
from gmhealth.core.plan import apply, fold, net_effects
from gmhealth.core.simulation import entry_fields
from gmhealth.errors import ConfigError, GmhealthError, Unavailable
from gmhealth.operations.dry_run import game_plan
from gmhealth.operations.leader import holder
from gmhealth.operations.models import SimulateView
from gmhealth.operations.times import Moment, id_at
from gmhealth.operations.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from gmhealth.core.rules import EventType
    from gmhealth.operations.session import Session


def checked_entry(
    event: EventType, game_id: str, container_id: str, at_ms: int, details: Mapping[str, Any]
) -> list[bytes]:
    """The entry, checked with the consumer's own decoder."""
    try:
        fields = entry_fields(event, game_id, container_id, at_ms, details)
    except UnicodeEncodeError as error:
        raise ConfigError(f"{error.object!r} is not UTF-8", hint="an entry holds text only") from None
    found = decode((b"0-1", fields))
    if isinstance(found, InvalidEntry):
        raise ConfigError(
            f"the consumer would refuse this entry: {found.reason.value}", hint="change --game-id or --at"
        )
    return fields


def occurred_at_ms(at: Moment | None, say: Callable[[str], None]) -> int:
    """When the event occurred; now if it is not said."""
    if at is None:
        return time.time_ns() // 1_000_000
    moment, note = at
    if note:
        say(f"--at: {note}")
    return id_at(moment).ms


def named(fields: list[bytes]) -> dict[str, str]:
    """The entry by name."""
    texts = [part.decode() for part in fields]
    return dict(zip(texts[::2], texts[1::2], strict=True))


def dry_run(opened: Session, fields: list[bytes]) -> SimulateView:
    """The plan for the game's row as it is, by the same fold."""

    event = decode((b"0-1", fields))
    assert isinstance(event, HealthEvent), "checked before"  # noqa: S101
    rows = {stored.game_id: stored.row for stored in opened.parts.rows.find([event.game_id])}
    written = apply(net_effects([event]), rows)
    plan = fold([event], written, {})
    row, after = rows.get(event.game_id), written.get(event.game_id)
    return SimulateView(
        target=opened.target,
        fields=named(fields),
        plan=game_plan(event.game_id, row, after.row, len(plan.snapshots)) if row and after else None,
        outcome=plan.steps[0].outcome.value,
    )


def append_all(trace: Trace, fields: list[bytes], count: int, rate: float | None) -> None:
    """Append `count` entries, at most `rate` a second."""
    for index in range(count):
        if rate and index:
            time.sleep(1 / rate)
        trace.append(fields)


@contextmanager
def counted(opened: Session, trace: Trace, count: int) -> Iterator[None]:
    """Whatever stops it half-way says what of `count` entries was appended."""
    try:
        yield
    except KeyboardInterrupt:
        opened.say(_appended(trace, count))
        raise
    except GmhealthError as error:
        trace.in_doubt &= isinstance(error, Unavailable)  # a refusal is an answer
        error.hint = "; ".join(filter(None, (_appended(trace, count), error.hint)))
        raise


def _appended(trace: Trace, count: int) -> str:
    last = f", the last one as {trace.entry_ids[-1]}" if trace.entry_ids else ""
    more = "; one more may be in the stream" if trace.in_doubt else ""
    return f"appended {len(trace.entry_ids):,} of {count:,} entries{last}{more}"


def not_consumed(opened: Session, trace: Trace, timeout: float) -> GmhealthError:
    """Why the entry was not consumed in time."""
    held = holder(opened.parts)
    last = trace.entry_ids[-1]
    if held.consumer is None:
        why = "nobody consumes" + (f"; a replay is running, {held.replay}" if held.replay else "")
        then = f"start one: {opened.command('consume')}"
    else:
        why, then = f"{held.consumer} has not come to it", f"how far it is: {opened.command('status')}"
    return GmhealthError(f"{last} was appended, but not consumed within {timeout:g} s: {why}", hint=then)


def sent(opened: Session, fields: list[bytes], trace: Trace) -> SimulateView:
    return SimulateView(
        target=opened.target,
        fields=named(fields),
        entries=[str(entry_id) for entry_id in trace.entry_ids],
        row_ms=trace.row_ms,
        snapshot_ms=trace.snapshot_ms,
        snapshot=trace.snapshot,
    )
