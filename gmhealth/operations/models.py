"""The results of reading commands: one model each, which JSON output is and tables are drawn from.

Field names are stable. Times are RFC 3339 in UTC; entry IDs are given raw beside them.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field

Time = Annotated[datetime, AfterValidator(lambda time: time.astimezone(UTC))]


class View(BaseModel, frozen=True):
    """What a command shows."""

    def as_json(self, *, indent: int | None = None) -> str:
        """Write it in plain ASCII, so that nothing in it can steer a terminal, lone surrogates included."""
        return json.dumps(self.model_dump(mode="json"), indent=indent)


class TargetView(View):
    """What a command looked at; never a secret."""

    redis: str
    stream: str
    offset_key: str
    postgres: str
    table: str


class EntryView(View):
    """A place in a stream."""

    id: str
    time: Time | None


class LagView(View):
    """How far the consumer is behind; `entries` is None where the stream is gone.

    `seconds` is the age of the oldest unread entry, 0 if there is none.
    """

    entries: int | None
    exact: bool
    seconds: float


class GapView(View):
    """Entries that were removed before they were read; `lost` is None where the server does not count."""

    kind: str
    lost: int | None
    exact: bool
    text: str


class BreakView(View):
    """The last time that a consumer found that the stream did not lead on from the offset; it has gone on since."""

    kind: str
    at: Time
    offset: EntryView
    lost: int | None
    exact: bool
    text: str


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


class WaitingView(View):
    """What a gmhealth waits for: `cause` is the error in a word, `tries` are those that have failed.

    `detail` is the whole error, where it had room: of PostgreSQL.
    """

    worker: str
    server: str
    cause: str
    since: Time
    tries: int
    detail: str


class StatusView(View):
    """`gmhealth status`. `state` is ok, behind or stopped; with --watch also stalled or rewound.

    Who holds the leader lock is the `consumer` or a `replay`, beside which nobody consumes.
    """

    target: TargetView
    state: str
    consumer: str | None
    replay: str | None
    waiting: WaitingView | None
    offset: EntryView | None
    lag: LagView
    gap: GapView | None
    last_break: BreakView | None
    events_per_minute: int
    events_per_minute_exact: bool
    dead_letters: int
    dead_letters_dropped: int
    by_status: dict[str, int]
    by_summary: dict[str, int]
    unhealthy: list[RowView]
    unhealthy_total: int
    looked_at: Time


class CheckView(View):
    """One thing that `gmhealth doctor` looked at. `result` is ok, warning or fail."""

    name: str
    result: str
    found: str
    hint: str = ""


class DoctorView(View):
    """`gmhealth doctor`."""

    target: TargetView
    checks: list[CheckView]


class LetterView(View):
    """A dead letter; `fields` keep what is no UTF-8 as \\xNN. `detail`: why PostgreSQL refused the game's row."""

    id: str
    source: EntryView
    reason: str
    detail: str
    failed_at: Time | None
    fields: list[tuple[str, str]]
    valid_now: bool
    retried_as: str | None


class LettersView(View):
    """`gmhealth dead-letter list`. `dropped` were deleted by and by to keep to the limit."""

    target: TargetView
    total: int
    dropped: int
    by_reason: dict[str, int]
    letters: list[LetterView]


class LettersDoneView(View):
    """`gmhealth dead-letter retry` and `purge`."""

    target: TargetView
    done: dict[str, str]
    left: dict[str, str]


class OffsetView(View):
    """`gmhealth offset show`."""

    target: TargetView
    offset: EntryView | None
    first: EntryView | None
    last: EntryView | None
    length: int
    lag: LagView
    gap: GapView | None
    last_break: BreakView | None
    consumer: str | None
    replay: str | None
    last_commit_by: str | None
    last_reset: dict[str, str] | None
