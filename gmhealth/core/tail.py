"""What a promoted PostgreSQL may have lost, and so is run again: the tail of what was applied (design 3.4, I10)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from gmhealth.core.entry import START, EntryId


class Tail(NamedTuple):
    """The entries after `since`, up to the offset: the last ones whose effects were written, on this `timeline`."""

    timeline: str
    since: EntryId


@dataclass(slots=True)
class RecentTail:
    """Keeps the tail of the last `span_ms`, by the clock; it is up to twice as long.

    By the clock and not by the entries' own times, because hours of a backlog are written in a minute, and because
    what was written long before a failover is not lost by it, however few entries have come since.
    """

    span_ms: int
    tail: Tail | None = None
    _next: EntryId = START
    _began_ms: int = 0

    def begin(self, tail: Tail, offset: EntryId, now_ms: int) -> None:
        """Start with `tail`, which ends at `offset`."""
        self.tail, self._next, self._began_ms = tail, offset, now_ms

    def pass_time(self, offset: EntryId, now_ms: int) -> None:
        """Let go of what is old enough by now; call it before the next entries after `offset` are written."""
        if self.tail is not None and now_ms - self._began_ms >= self.span_ms:
            self.begin(self.tail._replace(since=self._next), offset, now_ms)
