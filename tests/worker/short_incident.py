"""A short incident with everything in it, and what must come of it, one event at a time."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from functools import cache
from typing import NamedTuple

from gmhealth.core.snapshot import Snapshot
from tests.core.model import Consumer, RuntimeRecord, Store
from tests.games import Game, add_game
from tests.worker.scene import Scene

BATCH = 4
GAMES = {
    "game-a": Game("running", 3, "healthy"),
    "game-b": Game("engine_unreachable", 8, "oom"),
    "game-c": Game("generation_in_progress", 27, "healthy"),
    "game-d": Game("stopped", 5, ""),
}


class Told(NamedTuple):
    """One entry: a game and what Runtime Manager says of it, which may be nonsense."""

    game_id: str
    event_type: str

    @property
    def valid(self) -> bool:
        return self.event_type != "nonsense"


INCIDENT = [
    Told("game-a", "container_exited"),  # swap
    Told("game-c", "container_oom"),  # conflict
    Told("game-x", "probe_failed"),  # no such game
    Told("game-a", "nonsense"),
    Told("game-a", "container_started"),
    Told("game-b", "probe_recovered"),  # swap
    Told("", "nonsense"),
    Told("game-d", "container_disappeared"),  # conflict
    Told("game-a", "probe_recovered"),  # swap, with the summary that was sent last
    Told("game-b", "container_oom"),  # there ...
    Told("game-b", "probe_recovered"),  # ... and back within a batch
    Told("game-c", "inspect_unhealthy"),
    Told("game-a", "container_disappeared"),  # there, back and there again
    Told("game-a", "probe_recovered"),
    Told("game-d", "nonsense"),
    Told("game-a", "container_exited"),
    Told("game-c", "inspect_unhealthy"),  # debounced
    Told("game-b", "container_exited"),
]
LAST = len(INCIDENT)


def entry_id(number: int) -> str:
    """The ID of the entry with this number, from 1; 0 is before all."""
    return f"{number}-0"


def number(offset: str | None) -> int:
    """The entry that an offset names."""
    return 0 if offset is None else int(offset.partition("-")[0])


def record(scene: Scene, *, length: int = LAST) -> None:
    """Put the games and the first `length` entries on empty servers."""
    scene.clear()
    for game_id, game in GAMES.items():
        add_game(scene.pg, game_id, status=game.status, turn=game.current_turn, health=game.engine_health)
    for at, told in enumerate(INCIDENT[:length], start=1):
        scene.event(entry_id(at), told.game_id, told.event_type, at * 1000)


def consumer() -> Consumer:
    """The literal consumer, before the incident."""
    return Consumer(Store({game_id: RuntimeRecord(*game) for game_id, game in GAMES.items()}))


def consume(literal: Consumer, numbers: Sequence[int]) -> None:
    """Let the literal consumer have these entries, one at a time."""
    for at in numbers:
        game_id, event_type = INCIDENT[at - 1]
        if INCIDENT[at - 1].valid:
            literal.handle_message(game_id, event_type, at * 1000)


def batch_after(offset: int, length: int = LAST) -> range:
    """The entries of the batch that is read after `offset`."""
    return range(offset + 1, min(offset + BATCH, length) + 1)


def rows(literal: Consumer) -> dict[str, Game]:
    """The rows that the literal consumer has left."""
    return {game_id: Game(*vars(row).values()) for game_id, row in literal.store.records.items()}


@cache
def rows_after(*numbers: int) -> dict[str, Game]:
    """The rows after these entries."""
    literal = consumer()
    consume(literal, numbers)
    return rows(literal)


def snapshots(literal: Consumer) -> list[Snapshot]:
    """What the literal consumer has told."""
    told = (dict(fields) for fields in literal.published)
    return [
        Snapshot(
            one["game_id"],
            int(one["current_turn"]),
            one["runtime_status"],
            one["engine_health_summary"],
            int(one["occurred_at_ms"]),
        )
        for one in told
    ]


def invalid(numbers: Sequence[int]) -> list[str]:
    """The IDs of those of these entries that are no events."""
    return [entry_id(at) for at in numbers if not INCIDENT[at - 1].valid]


def dry_run(literal: Consumer, numbers: Sequence[int]) -> None:
    """Let the rows have these entries, and nobody hear of it."""
    consume(Consumer(literal.store, deepcopy(literal.last_emitted)), numbers)
