"""The fold: events in order over the rows and the debounce state give what is to be written and sent.

A batch of one and a batch of thousands go through the same fold, and the same events give the same rows and
snapshots however they are split into batches (I2).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from operator import attrgetter

from msgspec import Struct

from gmhealth.core.entry import START, EntryId
from gmhealth.core.events import HealthEvent
from gmhealth.core.mapping import EFFECTS, Summary
from gmhealth.core.snapshot import Snapshot


class Row(Struct, frozen=True, gc=False):
    """What we read of a `runtime_records` row. `status` is text: Game Master may know more statuses than we."""

    status: str
    current_turn: int
    engine_health: str


shared_row = lru_cache(maxsize=1_000)(Row)
"""The one `Row` of a status, a turn and a summary: most games share theirs with others, which keeps them small.

A thousand, as few are current at a time; ten thousand, which turns long played would fill, are two megabytes.
"""


class Outcome(StrEnum):
    """What became of one event."""

    SWAPPED = "swapped"
    CONFLICT = "conflict"
    HEALTH_ONLY = "health_only"
    NO_ROW = "no_row"


class Step(Struct, frozen=True, gc=False):
    """One event's part of a plan: what it did, the status after it, the snapshot it sends (None: debounced)."""

    event: HealthEvent
    outcome: Outcome
    status: str
    snapshot: Snapshot | None


class Change(Struct, frozen=True, gc=False, array_like=True):
    """The net change to one row: applies only while the row still has `expected` and `current_turn` (design 3.1)."""

    game_id: str
    expected: str
    current_turn: int
    status: str
    summary: Summary


@dataclass(frozen=True, slots=True)
class Plan:
    """What a batch does: a step per event in stream order, a change per game in `game_id` order."""

    steps: Sequence[Step] = ()
    changes: Sequence[Change] = ()
    moved: dict[str, int] = field(default_factory=dict)
    """Games whose status this plan moves, each with the time (ms) of the last event that did."""

    @property
    def snapshots(self) -> list[Snapshot]:
        """The snapshots to send, in stream order."""
        return [step.snapshot for step in self.steps if step.snapshot is not None]

    @property
    def arrived(self) -> dict[str, int]:
        """Games that were or came to be where an event's transition leads, each with the time (ms) of the last one."""
        return {
            step.event.game_id: step.event.occurred_at_ms
            for step in self.steps
            if (transition := EFFECTS[step.event.type].transition) is not None and step.status == transition.target
        }

    def replaced(self, again: Plan, games: AbstractSet[str]) -> Plan:
        """This plan with `games` taken from `again`: what is left of both after a lost race."""
        steps = [step for step in self.steps if step.event.game_id not in games]
        steps += again.steps
        steps.sort(key=_stream_order)
        changes = [change for change in self.changes if change.game_id not in games]
        moved = {game_id: at for game_id, at in self.moved.items() if game_id not in games}
        changes += again.changes
        changes.sort(key=attrgetter("game_id"))
        return Plan(steps, changes, moved | again.moved)


def fold(
    events: Iterable[HealthEvent],
    rows: Mapping[str, Row],
    emitted: Mapping[str, str],
    *,
    swap: bool = True,
) -> Plan:
    """Plan `events`, in stream order, over `rows`; `emitted` is the last summary sent per game (D4).

    `swap=False` plans every transition as a conflict: only summaries change (D2, and `replay --health-only`).
    A game without a row gives a step and nothing else. `rows` and `emitted` are not changed.
    """
    steps: list[Step] = []
    after: dict[str, tuple[str, Summary]] = {}
    moved: dict[str, int] = {}
    for event in events:
        game_id = event.game_id
        row = rows.get(game_id)
        if row is None:
            steps.append(Step(event, Outcome.NO_ROW, "", None))
            continue
        status, last_sent = after.get(game_id) or (row.status, emitted.get(game_id))
        effect = EFFECTS[event.type]
        summary = effect.summary
        if (transition := effect.transition) is None:
            outcome = Outcome.HEALTH_ONLY
        elif swap and status == transition.expected:
            outcome, status = Outcome.SWAPPED, transition.target
            moved[game_id] = event.occurred_at_ms
        else:
            outcome = Outcome.CONFLICT
        snapshot = None
        if summary != last_sent or outcome is Outcome.SWAPPED:
            snapshot = Snapshot(game_id, row.current_turn, status, summary, event.occurred_at_ms)
        after[game_id] = status, summary
        steps.append(Step(event, outcome, status, snapshot))
    return Plan(steps, [_change(game_id, rows[game_id], *after[game_id]) for game_id in sorted(after)], moved)


def _change(game_id: str, row: Row, status: str, summary: Summary) -> Change:
    return Change(game_id, row.status, row.current_turn, status, summary)


def _stream_order(step: Step) -> EntryId:
    return EntryId.parse(step.event.entry_id) or START
