"""How many entries to ask for at once: all that is there, up to a bound in entries and one in bytes."""

from __future__ import annotations

from collections.abc import Sequence
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
