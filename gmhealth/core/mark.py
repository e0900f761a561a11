"""The mark that each commit leaves on Redis: whose it is, which one of theirs, and whether its offset was read."""

from __future__ import annotations

from typing import Final

READ: Final = "#"
"""In the mark of a commit that left the offset at an entry that was read."""
NOT_READ: Final = "~"
"""In the mark of one that left it elsewhere: perhaps where an operator put it, which need be no entry's ID."""


def mark_of(name: str, number: int, *, read: bool) -> str:
    """The mark of the `number`-th commit of the worker called `name`."""
    return f"{name}{READ if read else NOT_READ}{number}"


def worker_and_number(mark: str | None) -> tuple[str, int]:
    """Whose commit `mark` is of, and which one of theirs; empty and 0 where it does not say."""
    for kind in (READ, NOT_READ):
        name, _, number = (mark or "").rpartition(kind)
        if name and number.isdecimal():
            return name, int(number)
    return "", 0


def says_read(mark: str | None) -> bool:
    """Whether the commit left the offset at an entry that was read."""
    return READ in (mark or "")
