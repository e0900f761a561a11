"""What the working loop last said of itself, and how long ago: what is ready and what is a stall.

A stall is a loop that does not come round. Each of its turns ends in a report: a batch done, nothing new, standing by,
or a server that does not answer. Every wait inside a turn is bounded, to 6 seconds on either server and 5 seconds
before the next try, and a turn that meets each of them at its worst stays below `STALL_S`. Looking up a name is the C
library's; the unit keeps that short (`RES_OPTIONS`).

A loop that waits for a server is no stall: it moves, and ending it would mend nothing and cost the standby's place.
That nothing gets done meanwhile shows in the metrics (lag, last success) and in the log.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import StrEnum
from time import monotonic, time
from typing import Final

from gmhealth.core.entry import EntryId
from gmhealth.worker.events import Active, BatchDone, Idle, Paused, Report, Standby, Waiting

STALL_S: Final = 60.0
"""Seconds without a report that make a stall; `WatchdogSec=` of the unit is the same."""
RATE_S: Final = 10.0
"""The rate is an average over about so many seconds."""


class Role(StrEnum):
    """What this worker is: not yet known, the one that writes, one that may take over, or one that has to hold."""

    STARTING = "starting"
    ACTIVE = "active"
    STANDBY = "standby"
    PAUSED = "paused"


class Liveness:
    """Takes note of every report; asks nobody anything.

    `role`, `offset`, `trouble` (what the loop waits for; None while it does not) and `lag_s` (seconds from the last
    entry's ID to now when its batch was done; 0 when there was nothing new) are as of the last report.
    """

    def __init__(self, *, clock: Callable[[], float] = monotonic, wall_clock: Callable[[], float] = time) -> None:
        self._clock, self._wall_clock = clock, wall_clock
        self.role = Role.STARTING
        self.offset: EntryId | None = None
        self.trouble: str | None = None
        self.lag_s = 0.0
        self._pause = ""  # who, until when and why, as last reported
        self._last = clock()
        self._entries = 0
        self._marks = deque([(self._last, 0)])  # (when, entries by then), up to RATE_S back

    def __call__(self, report: Report) -> None:
        """Take note."""
        self._last = self._clock()
        self.trouble = report.error if isinstance(report, Waiting) else None
        match report:
            case BatchDone():
                self._entries += report.entries
                self.offset = report.last
                self.lag_s = max(0.0, self._wall_clock() - report.last.ms / 1000)
            case Idle():
                self.offset, self.lag_s = report.offset, 0.0
            case Active():
                self.role, self.offset = Role.ACTIVE, report.offset
            case Standby():
                self.role = Role.STANDBY
            case Paused():
                self.role, self._pause = Role.PAUSED, str(report)
        self._mark()

    @property
    def ready(self) -> bool:
        """Whether the offset was loaded, and both servers have answered: Redis alone, while consumers are paused."""
        return self.role is not Role.STARTING

    @property
    def moving(self) -> bool:
        """Whether the loop came round lately."""
        return self._clock() - self._last < STALL_S

    def rate(self) -> float:
        """Entries a second, over the last `RATE_S` or so."""
        since, before = self._marks[0]
        elapsed = self._clock() - since
        return (self._entries - before) / elapsed if elapsed > 0 else 0.0

    def _mark(self) -> None:
        """Note how many entries there were by now, once a second."""
        if self._last - self._marks[-1][0] >= 1:
            self._marks.append((self._last, self._entries))
        while len(self._marks) > 1 and self._marks[1][0] <= self._last - RATE_S:
            self._marks.popleft()

    def line(self) -> str:
        """Say it in one line, for a person."""
        if self.trouble is not None:
            return f"waiting: {self.trouble}"
        if self.role is Role.ACTIVE:
            return f"consuming; offset {self.offset}, lag {self.lag_s:.1f} s, {self.rate():,.1f} entries/s"
        if self.role is Role.PAUSED:
            return self._pause
        return "standing by: another gmhealth consumes" if self.ready else "starting"
