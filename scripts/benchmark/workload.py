"""The same work for every contestant: rows and events, made up, the same in every run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Final, NamedTuple

FIRST_MS: Final = 1_790_000_000_000
UNKNOWN_GAMES: Final = 0.005
"""Share of events that name a game without a row."""

KINDS: Final = {
    "container_started": (10, {"image_ref": "galaxy/engine:1.4.2"}),
    "container_exited": (8, {"exit_code": 1, "oom": False}),
    "container_oom": (6, {"exit_code": 137}),
    "container_disappeared": (6, {}),
    "inspect_unhealthy": (15, {"restart_count": 3, "state": "restarting", "health": "unhealthy"}),
    "probe_failed": (30, {"consecutive_failures": 3}),
    "probe_recovered": (25, {"prior_failure_count": 3}),
}
"""How often each kind of event comes, of a hundred, and its details. Four of five events change a summary."""

STATUSES: Final = ("running",) * 7 + ("engine_unreachable", "generation_in_progress", "stopped")


class Row(NamedTuple):
    """What gmhealth knows of a `runtime_records` row."""

    status: str
    current_turn: int
    engine_health: str


class Event(NamedTuple):
    """One health event."""

    game_id: str
    event_type: str
    occurred_at_ms: int
    container_id: str

    def fields(self) -> list[str]:
        """Names and values as Runtime Manager writes them (design 2.1)."""
        return [
            *("game_id", self.game_id),
            *("container_id", self.container_id),
            *("event_type", self.event_type),
            *("occurred_at_ms", str(self.occurred_at_ms)),
            *("details", _DETAILS[self.event_type]),
        ]


_DETAILS: Final = {kind: json.dumps(details, separators=(",", ":")) for kind, (_, details) in KINDS.items()}


@dataclass(frozen=True, slots=True)
class Workload:
    """`entries` events over the first `games` of a table of `rows` (0: as many as games)."""

    entries: int
    games: int
    rows: int = 0

    @property
    def table_size(self) -> int:
        """How many rows the table has."""
        return max(self.rows, self.games)

    def __str__(self) -> str:
        table = f", {self.rows:,} rows" if self.rows > self.games else ""
        return f"{self.entries:,} entries, {self.games:,} games{table}"

    def events(self) -> Iterator[Event]:
        """Give the events in stream order."""
        random = Random(self.games)
        kinds, weights = list(KINDS), [weight for weight, _ in KINDS.values()]
        for at in range(0, self.entries, 1000):
            for place, kind in enumerate(random.choices(kinds, weights, k=min(1000, self.entries - at))):
                game = int(random.random() * self.games)
                if random.random() < UNKNOWN_GAMES:
                    game += self.table_size
                yield Event(game_name(game), kind, FIRST_MS + at + place, f"{game * 2654435761 & 0xFFFFFFFFFFFF:012x}")

    def initial_row(self, game_id: str) -> Row | None:
        """Give a game's row as it is before the first event; None for a game that has none."""
        game = int(game_id.removeprefix("game-"))
        return self.first_row(game) if game < self.table_size else None

    def first_row(self, game: int) -> Row:
        """Give the first row of the `game`-th game."""
        return Row(STATUSES[game % len(STATUSES)], game % 50, "")


def game_name(game: int) -> str:
    """Name a game as long as real ones are, so that names sort as numbers do."""
    return f"game-{game:026}"
