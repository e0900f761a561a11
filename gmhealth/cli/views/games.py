"""What the commands show that are about games: one of them, or what becomes of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from gmhealth.cli.views import EntryView, TargetView


@dataclass(frozen=True, kw_only=True)
class RowView:
    """A game's row."""

    game_id: str
    status: str
    current_turn: int
    engine_health: str
    updated_at: datetime


@dataclass(frozen=True, kw_only=True)
class GamePlanView:
    """What a range would do to one game."""

    game_id: str
    status: str
    status_after: str
    summary: str
    summary_after: str
    snapshots: int


@dataclass(frozen=True, kw_only=True)
class ResetView:
    """`gmhealth offset reset`. `entries` are run again (back), skipped (forward) or come after the new one (unknown).

    `direction` is unknown, and `undo` empty, where the old offset is no entry ID; its `old.id` is then what was found.

    `followed_by` is the worker that has gone on from the new offset, where a `consumer` was live; a `replay` does not.
    """

    target: TargetView
    old: EntryView | None
    new: EntryView
    direction: str
    entries: int
    exact: bool
    note: str
    consumer: str | None
    replay: str | None
    status_changes: list[GamePlanView]
    applied: bool
    followed_by: str | None
    undo: str


@dataclass(frozen=True, kw_only=True)
class ReplayView:
    """`gmhealth replay`. `stale` are games with newer events after the range; `done` entries were run for good.

    `resume` is the command that runs what is left after an interruption.
    """

    target: TargetView
    first: str
    last: str
    entries: int
    invalid: int
    unknown_games: int
    snapshots: int
    games: list[GamePlanView]
    stale: list[str]
    trimmed: str | None
    done: int
    resume: str | None


@dataclass(frozen=True, kw_only=True)
class EventView:
    """One event of a game, what it did or would do, and why."""

    entry: EntryView
    type: str
    occurred_at: datetime | None
    container_id: str
    details: str
    read: bool
    outcome: str
    why: str


@dataclass(frozen=True, kw_only=True)
class SnapshotView:
    """A snapshot that was sent to Lobby."""

    entry: EntryView
    current_turn: str
    runtime_status: str
    engine_health_summary: str
    occurred_at_ms: str


@dataclass(frozen=True, kw_only=True)
class InspectView:
    """`gmhealth inspect`. `scanned` entries were looked through from the end of the stream."""

    target: TargetView
    row: RowView
    may_follow: list[str]
    events: list[EventView]
    scanned: int
    scanned_all: bool
    last_snapshot: SnapshotView | None


@dataclass(frozen=True, kw_only=True)
class EntryFieldsView:
    """`gmhealth simulate --print`."""

    fields: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class SimulateView:
    """`gmhealth simulate`; the times are milliseconds from appending to where the effect was seen."""

    target: TargetView
    fields: dict[str, str]
    entries: list[str] = field(default_factory=list)
    plan: GamePlanView | None = None
    outcome: str | None = None
    row_ms: float | None = None
    snapshot_ms: float | None = None
    snapshot: SnapshotView | None = None
