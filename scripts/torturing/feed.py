"""What Runtime Manager appends: random incidents, some of them no health events at all."""

from __future__ import annotations

import json
from contextlib import suppress
from random import Random
from threading import Lock
from typing import Final

import redis

from scripts.benchmark.workload import KINDS

STREAM: Final = "runtime:health_events"
FIRST_MS: Final = 1_790_000_000_000
HOT: Final = 12
COLD: Final = 400
QUIET_SHARE: Final = 2
"""Of the games, every second one belongs to Runtime Manager alone: Game Master leaves it be."""

_KINDS: Final = list(KINDS)
_WEIGHTS: Final = [24, 14, 8, 6, 6, 12, 30]
"""Many starts and recoveries: a transition whose summary was sent before is what a debounce may swallow."""


def game_name(game: int) -> str:
    """Name a game."""
    return f"game-{game:04}"


def quiet(game_id: str) -> bool:
    """Say whether Game Master leaves this game be."""
    return int(game_id.removeprefix("game-")) % QUIET_SHARE == 0


class Feeder:
    """Appends events; no two occurred at the same millisecond, so that each can be recognised in its snapshot."""

    def __init__(self, client: redis.Redis, random: Random) -> None:
        self._client, self._random = client, random
        self._made = 0
        self._one_at_a_time = Lock()  # a fault may feed while others do

    def feed(self, count: int = 0) -> bool:
        """Append `count` entries, or a few; False if the server does not take them now."""
        with self._one_at_a_time, suppress(redis.RedisError):
            pipeline = self._client.pipeline(transaction=False)
            for _ in range(count or self._random.randrange(1, 6)):
                pipeline.execute_command("XADD", STREAM, "*", *self._entry())
            pipeline.execute()
            return True
        return False

    def _entry(self) -> list[bytes]:
        self._made += 1
        roll = self._random.random()
        if roll < 0.05:
            return self._invalid()
        hot, known = roll < 0.85, roll < 0.97
        game = self._random.randrange(HOT if hot else COLD) if known else COLD + self._random.randrange(5)
        return self._fields(game_name(game).encode())

    def _fields(self, game_id: bytes) -> list[bytes]:
        kind = self._random.choices(_KINDS, _WEIGHTS)[0]
        details = json.dumps(KINDS[kind][1]).encode()
        at = str(FIRST_MS + self._made).encode()
        named = [b"game_id", game_id, b"container_id", b"c0ffee", b"event_type", kind.encode()]
        return [*named, b"occurred_at_ms", at, b"details", details]

    def _invalid(self) -> list[bytes]:
        noise = self._random.randbytes(self._random.randrange(1, 40))
        choices = [
            [b"noise", noise],
            [*self._fields(b"game-0001"), b"game_id", b"game-0002"],
            self._fields(b"\xff" + noise),
            self._fields(b"nul\0" + noise),
            self._fields(b"game-0001")[:-4],
            self._fields(b"  "),
            [noise, noise, b"", b"", b"event_type", b"container_oom"],
        ]
        return choices[self._random.randrange(len(choices))]
