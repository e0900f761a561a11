"""Showing how far a long command is: a bar on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from gmhealth.cli.render import bar, say
from gmhealth.cli.signals import stop_on_signals

if TYPE_CHECKING:
    from gmhealth.operations.session import Count
    from gmhealth.worker.ports import Stop

LINE_EVERY_S: Final = 5.0


@contextmanager
def progress(what: str, total: int) -> Iterator[tuple[Stop, Count]]:
    """Show `what` against `total` entries; yields what a signal sets, and what takes the number done."""
    with stop_on_signals() as stop, _counting(what, total) as count:
        yield stop, count


@contextmanager
def _counting(what: str, total: int) -> Iterator[Count]:
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
