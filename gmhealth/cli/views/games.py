"""What the commands show that are about games: one of them, or what becomes of them."""

from __future__ import annotations

from pydantic import Field

from gmhealth.cli.views import EntryView, TargetView, Time, View


class RowView(View):
    """A game's row."""

    game_id: str
    status: str
    current_turn: int
    engine_health: str
    updated_at: Time


class GamePlanView(View):
    """What a range would do to one game."""

    game_id: str
    status: str
    status_after: str
    summary: str
    summary_after: str
    snapshots: int


class ResetView(View):
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


class ReplayView(View):
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


class EventView(View):
    """One event of a game, what it did or would do, and why."""

    entry: EntryView
    type: str
    occurred_at: Time | None
    container_id: str
    details: str
    read: bool
    outcome: str
    why: str


class SnapshotView(View):
    """A snapshot that was sent to Lobby."""

    entry: EntryView
    current_turn: str
    runtime_status: str
    engine_health_summary: str
    occurred_at_ms: str


class InspectView(View):
    """`gmhealth inspect`. `scanned` entries were looked through from the end of the stream."""

    target: TargetView
    row: RowView
    may_follow: list[str]
    events: list[EventView]
    scanned: int
    scanned_all: bool
    last_snapshot: SnapshotView | None


class EntryFieldsView(View):
    """`gmhealth simulate --print`."""

    fields: dict[str, str]


class SimulateView(View):
    """`gmhealth simulate`; the times are milliseconds from appending to where the effect was seen."""

    target: TargetView
    fields: dict[str, str]
    entries: list[str] = Field(default_factory=list)
    plan: GamePlanView | None = None
    outcome: str | None = None
    row_ms: float | None = None
    snapshot_ms: float | None = None
    snapshot: SnapshotView | None = None
