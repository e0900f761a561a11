"""Rows are planned from memory, which is bounded: what is forgotten is loaded, and what is stale is found out (I4)."""

from __future__ import annotations

import pytest

from gmhealth import writer
from tests.games import add_game, game
from tests.worker.scene import Actor, Scene


def loads(actor: Actor, scene: Scene, entry_id: str, game_id: str) -> bool:
    """Whether the rows had to be asked for an event of this game."""
    scene.event(entry_id, game_id, "probe_failed")
    before = len(actor.boundaries.names)
    actor.rest()
    return "rows.load" in actor.boundaries.names[before:]


def test_a_row_is_loaded_once_as_long_as_it_is_remembered(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "REMEMBERED", 2)
    for name in "abcd":
        add_game(scene.pg, f"game-{name}")
    actor = scene.actor()
    asked = [loads(actor, scene, f"{at}-0", f"game-{name}") for at, name in enumerate("aabacaba", 1)]
    assert asked == [True, False, True, False, True, True, True, False]


def test_what_others_wrote_meanwhile_is_found_out(scene: Scene) -> None:
    add_game(scene.pg, "game-a")
    actor = scene.actor()
    assert loads(actor, scene, "1-0", "game-a")
    scene.pg.execute("UPDATE runtime_records SET current_turn = 9")
    assert loads(actor, scene, "2-0", "game-a")
    assert not loads(actor, scene, "3-0", "game-a")
    assert game(scene.pg).current_turn == 9
    assert scene.snapshots()[-1].current_turn == 7, "the same summary is not told again"
