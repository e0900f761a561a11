"""What `gmhealth status` and `gmhealth doctor` show."""

from __future__ import annotations

from gmhealth.cli.views import BreakView, EntryView, GapView, LagView, TargetView, Time, View
from gmhealth.cli.views.games import RowView


class WaitingView(View):
    """What a gmhealth waits for: `cause` is the error in a word, `tries` are those that have failed."""

    worker: str
    server: str
    cause: str
    since: Time
    tries: int


class StatusView(View):
    """`gmhealth status`. `state` is ok, behind or stopped; with --watch also stalled or rewound.

    Who holds the writer's lock is the `consumer` or a `replay`, beside which nobody consumes.
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
