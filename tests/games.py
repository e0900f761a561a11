"""Rows of `runtime_records` as Game Master would have made them."""

from __future__ import annotations

from typing import NamedTuple

import psycopg


class Game(NamedTuple):
    """What gmhealth may know of a row."""

    status: str
    current_turn: int
    engine_health: str


def add_game(
    pg: psycopg.Connection, game_id: str = "game-a", *, status: str = "running", turn: int = 7, health: str = ""
) -> None:
    """Insert a row that was last written long ago."""
    pg.execute(
        """
        INSERT INTO runtime_records (
            game_id, status, current_turn, engine_health, engine_endpoint, current_image_ref, current_engine_version,
            turn_schedule, created_at, updated_at)
        VALUES (%s, %s, %s, %s, 'http://engine:8080', 'engine:1', '1', '0 18 * * *', '2020-01-01', '2020-01-01')
        """,
        [game_id, status, turn, health],
    )


def game(pg: psycopg.Connection, game_id: str = "game-a") -> Game:
    """The row as it is."""
    return games(pg)[game_id]


def games(pg: psycopg.Connection) -> dict[str, Game]:
    """All rows as they are."""
    found = pg.execute("SELECT game_id, status, current_turn, engine_health FROM runtime_records")
    return {game_id: Game(*rest) for game_id, *rest in found}
