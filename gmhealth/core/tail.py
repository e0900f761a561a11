"""What was done last, which a promoted server may have lost: PostgreSQL the rows, Redis the snapshots (design 3.4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from gmhealth.core.entry import START, EntryId


class Tail(NamedTuple):
    """The entries after `since`, up to the offset: the last ones whose effects were written, on this `timeline`."""

    timeline: str
    since: EntryId


@dataclass(slots=True)
class Recent:
    """Keeps what was done in the last `span_ms`, by the clock; it is up to twice as long.

    By the clock and not by the entries' own times, because hours of a backlog are written in a minute, and because
    what was written long before a failover is not lost by it, however few entries have come since.
    """

    span_ms: int
    tail: Tail | None = None
    _next: EntryId = START
    _began_ms: int = 0
    _aged_ms: int = 0
    _told: dict[str, int] = field(default_factory=dict)
    _told_before: dict[str, int] = field(default_factory=dict)

    def begin(self, tail: Tail, offset: EntryId, now_ms: int) -> None:
        """Start with `tail`, which ends at `offset`."""
        self.tail, self._next, self._began_ms = tail, offset, now_ms

    def pass_time(self, offset: EntryId, now_ms: int) -> None:
        """Let go of entries that are old enough by now; call it before the next ones after `offset` are written."""
        if self.tail is not None and now_ms - self._began_ms >= self.span_ms:
            self.begin(self.tail._replace(since=self._next), offset, now_ms)

    def age(self, now_ms: int) -> None:
        """Let go of what was told long enough ago by now, whoever has written since."""
        if now_ms - self._aged_ms >= self.span_ms:
            self._told_before, self._told, self._aged_ms = self._told, {}, now_ms

    def tell(self, transitions: Mapping[str, int]) -> None:
        """Note games whose new status was told, with the time it happened."""
        self._told.update(transitions)

    def untold(self) -> dict[str, int]:
        """Take it that nobody heard of them, and forget them."""
        told = {**self._told_before, **self._told}
        self._told_before, self._told = {}, {}
        return told
