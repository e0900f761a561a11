"""The snapshot that Game Lobby gets (design 2.5, D5), and which was sent last for each game (D4)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Final

from msgspec import Struct

SNAPSHOT_EVENT_TYPE: Final = "runtime_snapshot_update"
NO_TURN_STATS: Final = "[]"
"""Always empty here: the consumer has no fresh engine state (D5)."""


class Snapshot(Struct, frozen=True, gc=False):
    """A game's row as it stood after one event. One is made for most entries, hence no dataclass."""

    game_id: str
    current_turn: int
    runtime_status: str
    engine_health_summary: str
    occurred_at_ms: int

    def fields(self) -> dict[str, str]:
        """The closed payload of `gm:lobby_events`, in the contract's order."""
        return {
            "event_type": SNAPSHOT_EVENT_TYPE,
            "game_id": self.game_id,
            "current_turn": str(self.current_turn),
            "runtime_status": self.runtime_status,
            "engine_health_summary": self.engine_health_summary,
            "player_turn_stats": NO_TURN_STATS,
            "occurred_at_ms": str(self.occurred_at_ms),
        }


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
