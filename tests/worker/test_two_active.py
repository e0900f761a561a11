"""Two active workers on the same servers, each sure that it holds the lock: the fence alone guards them (I5, I6)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, cycle, repeat
from threading import Condition

import pytest

from tests.games import games
from tests.worker import short_incident as incident
from tests.worker.faulty import Boundaries, Crossing, When
from tests.worker.player import calls_of_a_clean_run
from tests.worker.scene import Actor, Scene
from tests.worker.short_incident import LAST, entry_id
from tests.worker.witness import Witness

ALL = range(1, LAST + 1)
INTRUSIONS: dict[str, Callable[[Actor], None]] = {
    "does one step": lambda other: other.worker.step(),
    "runs to the end": Actor.rest,
}


def nothing_is_lost_or_told_twice(scene: Scene, witness: Witness) -> bool:
    """I1, I3, I5: each batch was committed once and after the one before it, and every transition was told."""
    batches = [commit for commit in scene.applied if commit.offset is not None]
    starts = [commit.fence.text for commit in batches]
    assert starts == [None, *(str(commit.offset) for commit in batches[:-1])]
    assert scene.snapshots() == [one for commit in scene.applied for one in commit.snapshots]
    assert scene.dead_letters() == incident.invalid(ALL)
    assert scene.offset() == entry_id(LAST)
    assert witness.unreported() == set()
    return True


@pytest.mark.parametrize("intrusion", INTRUSIONS)
def test_between_any_two_calls_the_other(scene: Scene, intrusion: str) -> None:
    for at, call in enumerate(calls_of_a_clean_run(scene), start=1):
        incident.record(scene)
        witness = Witness(scene)
        other = scene.actor(Boundaries(visit=witness), lockless=True)

        def visit(crossing: Crossing, at: int = at, other: Actor = other, witness: Witness = witness) -> None:
            if crossing[::2] == (at, When.BEFORE):
                INTRUSIONS[intrusion](other)
            witness(crossing)

        one = scene.actor(Boundaries(visit=visit), lockless=True)
        for actor in (one, other, one):
            actor.rest()
        assert nothing_is_lost_or_told_twice(scene, witness)
        # Hole 3 of the protocol model: a batch in hand is then written after newer ones, and no fence guards rows.
        if intrusion == "does one step" or call.name != "rows.write":
            assert games(scene.pg) == incident.rows_after(*ALL), call
        one.die()
        other.die()


class Baton:
    """Lets workers make their calls in a given order."""

    def __init__(self, turns: Iterator[int], witness: Witness) -> None:
        self._turns, self._witness = turns, witness
        self._turn = next(turns)
        self._gone: set[int] = set()
        self._passed = Condition()

    def visit(self, who: int, crossing: Crossing) -> None:
        """Wait for the turn before a call, pass it on after."""
        with self._passed:
            if crossing.when is When.BEFORE:
                assert self._passed.wait_for(lambda: self._turn == who or self._gone, timeout=60), "the turn is lost"
            self._witness(crossing)
            if crossing.when is When.AFTER:
                self._turn = next(self._turns)
                self._passed.notify_all()

    def leave(self, who: int) -> None:
        """Take no more turns."""
        with self._passed:
            self._gone.add(who)
            self._passed.notify_all()


@pytest.mark.parametrize("lead", range(0, 12, 2))
@pytest.mark.parametrize("pattern", [(0, 1), (0, 0, 1), (0, 0, 0, 1, 1)], ids=str)
def test_call_by_call_in_turns(scene: Scene, pattern: tuple[int, ...], lead: int) -> None:
    incident.record(scene)
    witness = Witness(scene)
    baton = Baton(chain(repeat(0, lead), cycle(pattern)), witness)

    def run(who: int) -> None:
        try:
            actor = scene.actor(Boundaries(visit=lambda crossing: baton.visit(who, crossing)), lockless=True)
            actor.rest()
        finally:
            baton.leave(who)

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(run, range(2)))
    assert nothing_is_lost_or_told_twice(scene, witness)
