"""The debounce state: the last summary that was sent for each game (D4)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Final

MOST: Final = 1_000_000
"""Games that are remembered, some 150 bytes each: a consumer that runs for years sees ever new ones."""


def remember(emitted: dict[str, str], sent: Mapping[str, str], *, most: int = MOST) -> None:
    """Put what was `sent` into `emitted`; where that makes more than `most`, let go of the half that came first.

    A game that was let go of is told about once more at its next event, as all are after a restart.
    """
    emitted.update(sent)
    if len(emitted) > most:
        for game_id in list(islice(emitted, len(emitted) - most // 2)):
            del emitted[game_id]
