"""Every version of every row, kept by a trigger; and Game Master, which keeps making some."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

import psycopg

from tests.games import games

RECORD_HISTORY = """
CREATE TABLE history (
    n bigserial PRIMARY KEY, game_id text, by text,
    old_status text, old_turn integer, status text, turn integer, health text);

CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO history (game_id, by, old_status, old_turn, status, turn, health) VALUES (
        NEW.game_id, current_setting('application_name'),
        OLD.status, OLD.current_turn, NEW.status, NEW.current_turn, NEW.engine_health);
    RETURN NULL;
END $$;

CREATE TRIGGER keep AFTER UPDATE ON runtime_records FOR EACH ROW EXECUTE FUNCTION keep();
"""

MOVES = {
    "running": ["generation_in_progress"],
    "generation_in_progress": ["running", "running", "generation_failed"],
    "generation_failed": ["generation_in_progress"],
    "engine_unreachable": ["running"],  # an administrator's recovery
}
ENDS = {"running": "stopped", "generation_in_progress": "finished", "engine_unreachable": "stopped"}


class Version(NamedTuple):
    """A row after one change, and what it was before."""

    game_id: str
    by: str
    old_status: str
    old_turn: int
    status: str
    turn: int
    health: str


def versions(pg: psycopg.Connection) -> list[Version]:
    """All of them, in an order that is right for each row: numbers are given while it is locked."""
    columns = "game_id, by, old_status, old_turn, status, turn, health"
    return [Version(*row) for row in pg.execute(f"SELECT {columns} FROM history ORDER BY n")]


class GameMaster:
    """Makes legal transitions by compare-and-swap; now and then one that ends a game."""

    def __init__(self, pg: psycopg.Connection, seed: int) -> None:
        self._pg, self._random = pg, Random(seed)

    def move(self) -> None:
        """Make one, unless somebody else has come in between."""
        game_id, game = self._random.choice(sorted(games(self._pg).items()))
        if game.status not in MOVES:
            return
        target = self._random.choice(MOVES[game.status])
        if self._random.random() < 0.005:
            target = ENDS.get(game.status, target)
        turns = int((game.status, target) == ("generation_in_progress", "running"))
        self._pg.execute(
            "UPDATE runtime_records SET status = %s, current_turn = current_turn + %s"
            " WHERE game_id = %s AND status = %s AND current_turn = %s",
            [target, turns, game_id, game.status, game.current_turn],
        )
