"""What each event of one game did, inferred from the snapshots that were sent, or would do, by the fold.

What an event did shows in the snapshot that carries its time and summary; without one it was debounced, or it is too
long ago.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from gmhealth.core.events import HealthEvent
from gmhealth.core.plan import Outcome, Row, Step, plan_for
from gmhealth.core.snapshot import Snapshot

UNKNOWN: Final = "unknown"
SKIPPED: Final = "skipped"


class Explanation(NamedTuple):
    """An outcome (one of `Outcome`, or `unknown`, or `skipped`) and the reason for it."""

    outcome: str
    why: str


NO_TRACE: Final = Explanation(UNKNOWN, "no snapshot of it in sight")


def explain_read(
    events: Sequence[HealthEvent], snapshots: Sequence[Snapshot], health: str | None = None
) -> list[Explanation]:
    """Tell what `events` of one game did, oldest first, by its `snapshots`, oldest first.

    A snapshot older than the events tells how the game stood before them. `health` is what the row says now: the last
    event that was applied has set it.
    """
    earlier = next(
        (n for n, each in enumerate(snapshots) if any(_is_of(each, event) for event in events)), len(snapshots)
    )
    left = list(snapshots[earlier:])
    before = snapshots[earlier - 1] if earlier else None
    summary = before.engine_health_summary if before else None
    told = []
    for event in events:
        at = next((index for index, each in enumerate(left) if _is_of(each, event)), None)
        if at is None:
            told.append(_silent(event, summary))  # if it was not applied, `summary` is still what was sent last
        else:
            before = left[at - 1] if at else before
            told.append(_sent(event, left[at], before))
            before = left[at]
            del left[: at + 1]
            summary = event.type.summary
    if events and health is not None and events[-1].type.summary != health:
        _mark_skipped(told, f"not applied: the row's health is still {health or 'empty'}; was it skipped by a reset?")
    return told


def explain_unread(events: Sequence[HealthEvent], row: Row, last_sent: str | None) -> list[Explanation]:
    """Tell what `events` of one game would do to `row`; `last_sent` is the summary of its last snapshot."""
    if not events:
        return []
    game_id = events[0].game_id
    plan = plan_for(events, {game_id: row}, {game_id: last_sent} if last_sent else {})
    return [Explanation(step.outcome, _would(step)) for step in plan.steps]


def _mark_skipped(told: list[Explanation], why: str) -> None:
    """The last events that left no trace were not applied: each would have set the row's health."""
    for index in range(len(told) - 1, -1, -1):
        if told[index] != NO_TRACE:
            return
        told[index] = Explanation(SKIPPED, why)


def _is_of(snapshot: Snapshot, event: HealthEvent) -> bool:
    summary = event.type.summary
    return (snapshot.occurred_at_ms, snapshot.engine_health_summary) == (event.occurred_at_ms, summary)


def _sent(event: HealthEvent, snapshot: Snapshot, before: Snapshot | None) -> Explanation:
    transition, status = event.type.transition, snapshot.runtime_status
    if transition is None:
        return Explanation(Outcome.HEALTH_ONLY, f"summary set, status left at {status}; snapshot sent")
    if status != transition.target:
        return Explanation(Outcome.CONFLICT, f"the status was {status}, not {transition.expected}; snapshot sent")
    if before is None:
        why = f"{status} after it; no snapshot from before tells whether it was {transition.expected} until then"
        return Explanation(UNKNOWN, why)
    if before.runtime_status == transition.target:
        return Explanation(Outcome.CONFLICT, f"the status was {status} already; snapshot sent")
    # Somebody else may have been at it in between, but the swap itself starts from nowhere else.
    return Explanation(Outcome.SWAPPED, f"{transition.expected} -> {status}; snapshot sent")


def _silent(event: HealthEvent, summary_before: str | None) -> Explanation:
    kind = event.type
    if summary_before != kind.summary:
        return NO_TRACE
    outcome = Outcome.HEALTH_ONLY if kind.transition is None else Outcome.CONFLICT
    return Explanation(outcome, f"status unchanged, and {kind.summary} was sent before: no snapshot (debounced)")


def _would(step: Step) -> str:
    transition = step.event.type.transition
    sends = "sends a snapshot" if step.snapshot is not None else "no snapshot (debounced)"
    if step.outcome is Outcome.SWAPPED and transition is not None:
        return f"not read yet: would swap {transition.expected} -> {transition.target}; {sends}"
    if transition is not None:
        return f"not read yet: the status would be {step.status}, not {transition.expected}; {sends}"
    return f"not read yet: would set the summary; {sends}"
