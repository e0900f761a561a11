"""What `gmhealth dead-letter` shows."""

from __future__ import annotations

from gmhealth.cli.views import EntryView, TargetView, Time, View


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
