"""How many entries to ask for at once: all that is there, up to a bound in entries and one in bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gmhealth.core.entry import Entry

MOST_ENTRIES: Final = 100_000
"""No batch may be larger, whatever it is set to: another worker's, too, ends within so many entries."""
FIRST: Final = 100
"""Asked for while nothing is known of how large this stream's entries are."""
GROWTH: Final = 4
"""Times as many as were just read, at most: a process that large entries after small ones end reads and commits some of
them when it starts again, and so learns of their size."""
SAMPLED: Final = 50


def next_limit(entries: Sequence[Entry], *, most_entries: int, most_bytes: int) -> int:
    """Entries to ask for after `entries` were read, so that a batch like them stays within both bounds.

    XREAD has no bound in bytes. The largest of an even sample stands for all, so this is an estimate.
    """
    if not entries:
        return min(FIRST, most_entries)
    sample = entries[:: max(1, len(entries) // SAMPLED)]
    largest = max(sum(map(len, fields)) for _, fields in sample)
    return max(1, min(most_entries, most_bytes // max(1, largest), max(FIRST, GROWTH * len(entries))))


TRUSTED_AFTER: Final = 10
"""Batches at a bound that went well before a larger one is tried."""


@dataclass(slots=True)
class Ceiling:
    """A bound on a batch's entries below `most`, where a larger one was too much for a server."""

    most: int
    entries: int = MOST_ENTRIES
    _went_well: int = 0

    def lower(self, failed: int) -> bool:
        """Have the next batch hold half as many entries as the one that `failed`; False where one is no fewer."""
        if failed <= 1:
            return False
        self.entries, self._went_well = failed // 2, 0
        return True

    def went_well(self) -> None:
        """Take note of a batch that went well."""
        if self.entries < self.most:
            self._went_well += 1
        if self._went_well == TRUSTED_AFTER:
            self.entries, self._went_well = self.entries * 2, 0
