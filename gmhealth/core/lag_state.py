"""One word for how consuming goes, judged over a window of samples at offset and stream.

One look cannot tell a consumer that is behind and catching up from one that does not move. After Burrow (its wiki,
"Consumer Lag Evaluation Rules"), with the age of the oldest unread entry in the place of a count.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from itertools import pairwise
from typing import Final, NamedTuple

from gmhealth.core.entry import EntryId

BEHIND_AFTER_S: Final = 10.0
"""An unread entry older than this means that the consumer does not keep up."""
STALLED_AFTER_S: Final = 2.0
"""Two samples at one offset must be so far apart to show that it does not move."""
WINDOW_S: Final = 60.0
"""How far back a caller keeps its samples."""


class Health(StrEnum):
    """How consuming goes."""

    OK = "ok"
    BEHIND = "behind"
    STALLED = "stalled"
    STOPPED = "stopped"
    REWOUND = "rewound"


class LagSample(NamedTuple):
    """One look: when (seconds, of any clock that does not jump), the saved offset, what is unread after it.

    `oldest_s`: the age of the oldest unread entry, 0 for none. `consumed`: a consumer holds the leader lock.
    """

    at_s: float
    offset: EntryId
    oldest_s: float
    consumed: bool


def evaluate(samples: Sequence[LagSample]) -> Health:
    """Judge by `samples`, oldest first, at least one.

    STOPPED: nobody consumes. REWOUND: the offset went back, and what it was put back before is not all read again.
    STALLED: an entry is unread for longer than `BEHIND_AFTER_S`, and the offset did not move. BEHIND: it moves.
    """
    last = samples[-1]
    if not last.consumed:
        return Health.STOPPED
    if last.oldest_s and any(later.offset < earlier.offset for earlier, later in pairwise(samples)):
        return Health.REWOUND
    if last.oldest_s <= BEHIND_AFTER_S:
        return Health.OK
    return Health.STALLED if _stands_still(samples) else Health.BEHIND


def _stands_still(samples: Sequence[LagSample]) -> bool:
    """Whether the offset is where it was `STALLED_AFTER_S` ago and at every look since."""
    last = samples[-1]
    since = last.at_s
    for look in reversed(samples):
        if look.offset != last.offset:
            break
        since = look.at_s
    return last.at_s - since >= STALLED_AFTER_S


def recent(samples: Sequence[LagSample]) -> list[LagSample]:
    """Those of `samples` that `WINDOW_S` before the last one still covers."""
    return [look for look in samples if look.at_s >= samples[-1].at_s - WINDOW_S]
