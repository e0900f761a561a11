"""Whole numbers in what others wrote: it may be anything."""

from __future__ import annotations

from typing import Final

LONGEST: Final = 18
"""Digits that any 64-bit integer can hold. Far more would make `int()` slow, and from 4,300 on raise."""


def number(text: str | bytes) -> int | None:
    """Read `123`; None for anything else, also for other scripts' digits (`isdigit` takes "²", `int` does not)."""
    return int(text) if len(text) <= LONGEST and text.isascii() and text.isdigit() else None
