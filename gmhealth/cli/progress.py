"""Showing how far a long command is: a bar on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gmhealth.cli.render import bar, say
from gmhealth.worker.events import BatchDone, Notice

if TYPE_CHECKING:
    from gmhealth.core.entry import EntryId

LINE_EVERY_S: Final = 5.0

Count = Callable[[int], None]


def no_count(_entries: int) -> None:
    """Count nothing."""


@dataclass(slots=True)
class Counted:
    """An observer that adds up batches and hands everything else on."""

    others: Callable[[Notice], None]
    on: Count = no_count
    entries: int = 0
    snapshots: int = 0
    last: EntryId | None = None

    def __call__(self, notice: Notice) -> None:
        """Add a batch up."""
        if not isinstance(notice, BatchDone):
            self.others(notice)
            return
        self.entries += notice.entries
        self.snapshots += len(notice.plan.snapshots)
        self.last = notice.last
        self.on(notice.entries)


@contextmanager
def counting(what: str, total: int) -> Iterator[Count]:
    """Show `what` against `total` entries; call what this yields with each number done."""
    if sys.stderr.isatty():
        with bar(what, total) as advance:
            yield advance
    else:
        yield _lines(what, total)


def _lines(what: str, total: int) -> Count:
    began = said = time.monotonic()
    done = 0

    def count(entries: int) -> None:
        nonlocal said, done
        done += entries
        now = time.monotonic()
        if now - said >= LINE_EVERY_S:
            said = now
            rate = done / (now - began)
            left = max(0, total - done) / rate if rate else 0
            say(f"{what}: {done:,} of {total:,} entries, {rate:,.0f}/s, {left:.0f} s left")

    return count
