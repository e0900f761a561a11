"""Two active workers on the same servers, each sure that it holds the lock: the fence alone guards them (I5, I6)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest

from gmhealth.errors import Unavailable
from tests.games import games
from tests.worker import short_incident as incident
from tests.worker.faulty import Boundaries, Crossing, When
from tests.worker.player import calls_of_a_clean_run
from tests.worker.scene import Actor, Scene
from tests.worker.short_incident import LAST, entry_id
from tests.worker.witness import Witness

ALL = range(1, LAST + 1)


def step(actor: Actor) -> None:
    """Step, and be refused where the other one has committed."""
    with suppress(Unavailable):
        actor.worker.step()


def run(actor: Actor) -> None:
    """Step until there is nothing to do."""
    step(actor)
    while not actor.at_rest():
        step(actor)


INTRUSIONS: dict[str, Callable[[Actor], None]] = {
    "does one step": step,
    "runs to the end": run,
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
            run(actor)
        assert nothing_is_lost_or_told_twice(scene, witness)
        # Hole 3 of the protocol model: a batch in flight is then written after newer ones, and no fence guards rows.
        if intrusion == "does one step" or call.name not in ("stream.state", "rows.write"):
            assert games(scene.pg) == incident.rows_after(*ALL), call
        one.die()
        other.die()
