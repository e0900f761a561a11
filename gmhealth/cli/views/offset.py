"""What `gmhealth offset show` shows."""

from __future__ import annotations

from gmhealth.cli.views import BreakView, EntryView, GapView, LagView, TargetView, View


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
