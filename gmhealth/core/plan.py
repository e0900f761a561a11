"""What a batch does: a net effect per game for its row, and a fold over what the rows were for Lobby.

The net effects are sent first and decided by PostgreSQL under each row's lock (I4); the fold then tells what each
event did, from the status that was found there. A batch of one and a batch of thousands go the same way, and the same
events give the same rows and snapshots however they are split into batches (I2).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import astuple, replace

from gmhealth.core.events import HealthEvent
from gmhealth.core.rules import SWAPS, Summary
from gmhealth.core.snapshot import Snapshot


class Row(Struct, frozen=True, gc=False):
    """What we read of a `runtime_records` row. `status` is text: Game Master may know more statuses than we."""

    status: str
    current_turn: int
    engine_health: str


class Written(NamedTuple):
    """A row that was written: the status that was found under its lock, and the row as it is afterwards (D5).

    `updated_at` is PostgreSQL's time as text; "" for the one that all of this write's rows have but for a few.
    """

    before: str
    row: Row
    updated_at: str = ""


class Refusal(NamedTuple):
    """Why PostgreSQL does not take a row: its words, the SQLSTATE and the column, "" for what it does not tell."""

    reason: str
    sqlstate: str = ""
    column: str = ""

    @property
    def text(self) -> str:
        """All of it, for a dead letter."""
        known = (f"SQLSTATE {self.sqlstate}" * bool(self.sqlstate), f"column {self.column}" * bool(self.column))
        return ", ".join(filter(None, (self.reason, *known)))


class NetEffect(Struct, frozen=True, gc=False, array_like=True):
    """What a batch's events of one game do to its row, whatever status is found there.

    The status becomes `target` where it is the one that `SWAPS` has for it ("" moves none); the summary is set always
    (D2, D3). One target is enough: the transitions lead to and fro between two statuses, so after any of them the row
    is where the last one leads, wherever it began.
    """

    game_id: str
    target: str
    summary: str


class Outcome(StrEnum):
    """What became of one event."""

    SWAPPED = "swapped"
    CONFLICT = "conflict"
    HEALTH_ONLY = "health_only"
    NO_ROW = "no_row"
    REFUSED = "refused"


class Step(Struct, frozen=True, gc=False):
    """One event's part of a plan: what it did, the status before and after it, its snapshot (None: debounced)."""

    event: HealthEvent
    outcome: Outcome
    before: str
    status: str
    snapshot: Snapshot | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a batch did: a step per event in stream order, and the last summary of each game that has a row."""

    steps: Sequence[Step] = ()
    summaries: Mapping[str, str] = field(default_factory=dict)

    @property
    def snapshots(self) -> list[Snapshot]:
        """The snapshots to send, in stream order."""
        return [step.snapshot for step in self.steps if step.snapshot is not None]


def net_effects(events: Iterable[HealthEvent], *, swap: bool = True) -> list[NetEffect]:
    """Reduce `events`, in stream order, to one effect a game, in `game_id` order, which is the order of the locks.

    `swap=False` moves no status (`replay --health-only`).
    """
    targets: dict[str, str] = {}
    summaries: dict[str, Summary] = {}
    for event in events:
        kind = event.type
        summaries[event.game_id] = kind.summary
        if swap and kind.transition is not None:
            targets[event.game_id] = kind.transition.target
    return [NetEffect(game_id, targets.get(game_id, ""), summaries[game_id]) for game_id in sorted(summaries)]


def apply(effects: Iterable[NetEffect], rows: Mapping[str, Row]) -> dict[str, Written]:
    """Do to `rows`, which are not changed, what the statement that writes them does (`adapters.postgres.rows`)."""
    written: dict[str, Written] = {}
    for game_id, target, summary in map(astuple, effects):
        if (row := rows.get(game_id)) is not None:
            status = target if target and row.status == SWAPS[target] else row.status
            written[game_id] = Written(row.status, Row(status, row.current_turn, summary))
    return written


def plan_for(
    events: Sequence[HealthEvent], rows: Mapping[str, Row], emitted: Mapping[str, str], *, swap: bool = True
) -> Plan:
    """Tell what `events` would do to `rows` as they are, if nobody else wrote."""
    return fold(events, apply(net_effects(events, swap=swap), rows), emitted, swap=swap)


def fold(
    events: Iterable[HealthEvent],
    written: Mapping[str, Written],
    emitted: Mapping[str, str],
    *,
    swap: bool = True,
    refused: Collection[str] = (),
) -> Plan:
    """Tell what `events`, in stream order, did to the rows in `written`; `emitted` is the last summary sent per game.

    A snapshot is sent where an event swapped the status or its summary is not the last one sent (D4). It shows the row
    as it stood after that event, the last one of a game the row as it is stored (D5). A game without a row, and one
    whose row is `refused`, gives steps and nothing else. `swap` is as for `net_effects`. `written` and `emitted` are
    not changed.
    """
    steps: list[Step] = []
    after: dict[str, tuple[str, Summary]] = {}
    last_sent: dict[str, int] = {}  # the step of each game's last snapshot
    for event in events:
        game_id = event.game_id
        found = written.get(game_id)
        if found is None:
            steps.append(Step(event, Outcome.REFUSED if game_id in refused else Outcome.NO_ROW, "", "", None))
            continue
        before, last_summary = after.get(game_id) or (found.before, emitted.get(game_id))
        status = before
        summary = event.type.summary
        if (transition := event.type.transition) is None:
            outcome = Outcome.HEALTH_ONLY
        elif swap and status == transition.expected:
            outcome, status = Outcome.SWAPPED, transition.target
        else:
            outcome = Outcome.CONFLICT
        snapshot = None
        if summary != last_summary or outcome is Outcome.SWAPPED:
            snapshot = Snapshot(game_id, found.row.current_turn, status, summary, event.occurred_at_ms)
            last_sent[game_id] = len(steps)
        after[game_id] = status, summary
        steps.append(Step(event, outcome, before, status, snapshot))
    for game_id, at in last_sent.items():
        if after[game_id] != ((row := written[game_id].row).status, row.engine_health):  # a trigger of Game Master's
            steps[at] = _as_stored(steps[at], row)
    return Plan(steps, {game_id: summary for game_id, (_, summary) in after.items()})


def _as_stored(step: Step, row: Row) -> Step:
    snapshot = step.snapshot
    if snapshot is not None:
        snapshot = replace(snapshot, runtime_status=row.status, engine_health_summary=row.engine_health)
    return replace(step, status=row.status, snapshot=snapshot)
