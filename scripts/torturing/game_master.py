"""The other writer: Game Master, which generates turns, recovers and stops games all the while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from threading import Event, Thread
from typing import Any, Final

import psycopg

from scripts.torturing.feed import COLD, HOT, game_name, quiet
from scripts.torturing.site import DURABLE, Site

NAME: Final = "game-master"
MOVES: Final = {
    "starting": ["running"],
    "running": ["generation_in_progress"],
    "generation_in_progress": ["running", "running", "running", "generation_failed"],
    "generation_failed": ["generation_in_progress"],
    "engine_unreachable": ["running"],  # an administrator's recovery
}
ENDS: Final = {"running": "stopped", "generation_in_progress": "finished", "engine_unreachable": "stopped"}
LOOK: Final = "SELECT status, current_turn FROM runtime_records WHERE game_id = %s"
PAUSE_S: Final = 0.03


class GameMaster:
    """Makes legal transitions by compare-and-swap."""

    def __init__(self, dsn: str, random: Random) -> None:
        self._dsn, self._random = dsn, random

    def keep_moving(self, over: Event) -> None:
        """Make one transition after the other, whatever becomes of the server."""
        while not over.is_set():
            try:
                with psycopg.connect(self._dsn, autocommit=True, application_name=NAME, options=DURABLE) as session:
                    session.execute("SET lock_timeout = '5s'")
                    while not over.wait(PAUSE_S):
                        self._move(session)
            except psycopg.OperationalError:
                over.wait(PAUSE_S)

    def _move(self, session: psycopg.Connection[Any]) -> None:
        mine = [game for game in range(HOT if self._random.random() < 0.8 else COLD) if not quiet(game_name(game))]
        game_id = game_name(self._random.choice(mine))
        for status, turn in session.execute(LOOK, [game_id]).fetchall():
            move(session, game_id, status, turn, self._random)


def move(session: psycopg.Connection[Any], game_id: str, status: str, turn: int, random: Random) -> None:
    """Make one transition of one game, unless somebody else has come in between."""
    if status not in MOVES:
        return
    target = random.choice(MOVES[status])
    if int(game_id.removeprefix("game-")) >= HOT and random.random() < 0.02:
        target = ENDS.get(status, target)
    turns = int((status, target) == ("generation_in_progress", "running"))
    session.execute(
        "UPDATE runtime_records SET status = %s, current_turn = current_turn + %s, updated_at = now()"
        " WHERE game_id = %s AND status = %s AND current_turn = %s",
        [target, turns, game_id, status, turn],
    )


@contextmanager
def at_work(where: Site, random: Random) -> Iterator[None]:
    """Have it work until the end."""
    over = Event()
    thread = Thread(target=GameMaster(where.postgres.dsn, random).keep_moving, args=(over,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(10)
