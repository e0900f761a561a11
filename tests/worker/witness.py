"""Watches rows change, and says which changes of status Lobby was not told of afterwards (I3)."""

from __future__ import annotations

from collections import defaultdict
from threading import get_ident

from tests.games import Game, games
from tests.worker.faulty import Crossing, When
from tests.worker.scene import Scene


class Witness:
    """A visitor of boundaries; one may watch several workers as long as they take turns."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        # Of each write under way in a thread: another may begin within it.
        self._before: dict[int, list[tuple[dict[str, Game], int]]] = defaultdict(list)
        self._told_by_then: dict[str, int] = {}

    def __call__(self, crossing: Crossing) -> None:
        if crossing.name != "rows.write":
            return
        now = games(self._scene.pg)
        if crossing.when is When.BEFORE:
            self._before[get_ident()].append((now, len(self._scene.snapshots())))
            return
        before, told = self._before[get_ident()].pop()
        for game_id, game in now.items():
            if game.status != before[game_id].status:
                self._told_by_then[game_id] = told

    def unreported(self) -> set[str]:
        """The games whose last change of status has no snapshot after it that shows the row's status."""
        told = self._scene.snapshots()
        now = games(self._scene.pg)
        return {
            game_id
            for game_id, start in self._told_by_then.items()
            if now[game_id].status not in [one.runtime_status for one in told[start:] if one.game_id == game_id]
        }
