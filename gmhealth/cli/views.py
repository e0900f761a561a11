"""The results of reading commands: one model each, which JSON output is and tables are drawn from.

Field names are stable. Times are RFC 3339 in UTC; entry IDs are given raw beside them.
"""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel


class TargetView(BaseModel):
    """What a command looked at; never a secret."""

    redis: str
    stream: str
    offset_key: str
    postgres: str
    table: str


class EntryView(BaseModel):
    """A place in a stream."""

    id: str
    time: datetime | None


class LagView(BaseModel):
    """How far the consumer is behind. `seconds` is the age of the oldest unread entry, 0 if there is none."""

    entries: int
    exact: bool
    seconds: float


class GapView(BaseModel):
    """Entries that were removed before they were read; `lost` is None where the server does not count."""

    kind: str
    lost: int | None
    exact: bool
    text: str


class OffsetView(BaseModel):
    """`gmhealth offset show`."""

    target: TargetView
    offset: EntryView | None
    first: EntryView | None
    last: EntryView | None
    length: int
    lag: LagView
    gap: GapView | None
    consumer: str | None
    last_commit_by: str | None
    last_reset: dict[str, str] | None


class ResetView(BaseModel):
    """`gmhealth offset reset`. `entries` are run again (back) or skipped (forward)."""

    target: TargetView
    old: EntryView | None
    new: EntryView
    direction: str
    entries: int
    exact: bool
    status_changes: list[GamePlanView]
    applied: bool
    followed_by: str | None
    undo: str


class RowView(BaseModel):
    """A game's row."""

    game_id: str
    status: str
    current_turn: int
    engine_health: str
    updated_at: datetime


class GamePlanView(BaseModel):
    """What a range would do to one game."""

    game_id: str
    status: str
    status_after: str
    summary: str
    summary_after: str
    snapshots: int


class ReplayView(BaseModel):
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


class EventView(BaseModel):
    """One event of a game, what it did or would do, and why."""

    entry: EntryView
    type: str
    occurred_at: datetime | None
    container_id: str
    details: str
    read: bool
    outcome: str
    why: str


class SnapshotView(BaseModel):
    """A snapshot that was sent to Lobby."""

    entry: EntryView
    current_turn: str
    runtime_status: str
    engine_health_summary: str
    occurred_at_ms: str


class InspectView(BaseModel):
    """`gmhealth inspect`. `scanned` entries were looked through from the end of the stream."""

    target: TargetView
    row: RowView
    may_follow: list[str]
    events: list[EventView]
    scanned: int
    scanned_all: bool
    last_snapshot: SnapshotView | None


class EntryFieldsView(BaseModel):
    """`gmhealth simulate --print`."""

    fields: dict[str, str]


class SimulateView(BaseModel):
    """`gmhealth simulate`; the times are milliseconds from appending to where the effect was seen."""

    target: TargetView
    fields: dict[str, str]
    entries: list[str] = []
    plan: GamePlanView | None = None
    outcome: str | None = None
    row_ms: float | None = None
    snapshot_ms: float | None = None
    snapshot: SnapshotView | None = None


class StatusView(BaseModel):
    """`gmhealth status`. `state` is ok, behind or stopped."""

    target: TargetView
    state: str
    consumer: str | None
    offset: EntryView | None
    lag: LagView
    gap: GapView | None
    events_per_minute: int
    events_per_minute_exact: bool
    dead_letters: int
    by_status: dict[str, int]
    by_summary: dict[str, int]
    unhealthy: list[RowView]
    unhealthy_total: int


class CheckView(BaseModel):
    """One thing that `gmhealth doctor` looked at. `result` is ok, warning or fail."""

    name: str
    result: str
    found: str
    hint: str = ""


class DoctorView(BaseModel):
    """`gmhealth doctor`."""

    target: TargetView
    checks: list[CheckView]


class LetterView(BaseModel):
    """A dead letter; `fields` keep what is no UTF-8 as \\xNN."""

    id: str
    source: EntryView
    source_stream: str
    reason: str
    failed_at: datetime | None
    fields: list[tuple[str, str]]
    valid_now: bool
    retried_as: str | None


class LettersView(BaseModel):
    """`gmhealth dead-letter list`."""

    target: TargetView
    total: int
    by_reason: dict[str, int]
    letters: list[LetterView]


class LettersDoneView(BaseModel):
    """`gmhealth dead-letter retry` and `purge`."""

    target: TargetView
    done: dict[str, str]
    left: dict[str, str]


ResetView.model_rebuild()
