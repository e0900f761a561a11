"""What `gmhealth dead-letter` shows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gmhealth.cli.views import EntryView, TargetView


@dataclass(frozen=True, kw_only=True)
class LetterView:
    """A dead letter; `fields` keep what is no UTF-8 as \\xNN. `detail`: why PostgreSQL refused the game's row."""

    id: str
    source: EntryView
    reason: str
    detail: str
    failed_at: datetime | None
    fields: list[tuple[str, str]]
    valid_now: bool
    retried_as: str | None


@dataclass(frozen=True, kw_only=True)
class LettersView:
    """`gmhealth dead-letter list`. `dropped` were deleted by and by to keep to the limit."""

    target: TargetView
    total: int
    dropped: int
    by_reason: dict[str, int]
    letters: list[LetterView]


@dataclass(frozen=True, kw_only=True)
class LettersDoneView:
    """`gmhealth dead-letter retry` and `purge`."""

    target: TargetView
    done: dict[str, str]
    left: dict[str, str]
