"""A batch that is too much for a server is tried again at half its size, down to one entry, and grows again (3.1)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from gmhealth.errors import Unavailable
from gmhealth.worker.events import BatchHalved
from gmhealth.worker.job import Job
from tests.games import add_game
from tests.worker.faulty import Boundaries, Crossing, When
from tests.worker.scene import Actor, Scene

EIGHT = Job(batch_size=8, block_ms=1)


def failing_above(most: int, actor: Callable[[], Actor]) -> Callable[[Crossing], None]:
    """Let every write of a batch with more than `most` entries time out."""

    def visit(crossing: Crossing) -> None:
        in_flight = actor().worker._reader._in_flight  # what the batch holds
        if (crossing.name, crossing.when) == ("rows.write", When.BEFORE) and in_flight > most:
            raise Unavailable("canceling statement due to statement timeout", by_size=True)

    return visit


def consume(scene: Scene, most: int, entries: int) -> tuple[Actor, list[int]]:
    """Consume `entries` where batches above `most` fail; the sizes of those that were committed."""
    add_game(scene.pg)
    for number in range(1, entries + 1):
        scene.event(f"{number}-0", "game-a", "container_started", number)
    boundaries = Boundaries()
    actor = scene.actor(boundaries, job=EIGHT)
    boundaries.visit = failing_above(most, lambda: actor)
    while scene.offset() != f"{entries}-0":
        try:
            actor.worker.step()
        except Unavailable:
            assert len(boundaries.names) < 1500
    places = [0, *(commit.offset.ms for commit in scene.applied if commit.offset is not None)]
    return actor, [after - before for before, after in pairwise(places)]


@pytest.mark.parametrize(("most", "first"), [(8, 8), (7, 4), (3, 2), (1, 1)])
def test_it_is_tried_again_at_half_its_size(scene: Scene, most: int, first: int) -> None:
    actor, sizes = consume(scene, most, 8)
    assert max(sizes) == sizes[0] == first
    halved = [report.entries for report in actor.reports if isinstance(report, BatchHalved)]
    assert halved == [each for each in (4, 2, 1) if each >= first and first < 8]


def test_what_is_too_large_is_tried_again_seldom(scene: Scene) -> None:
    actor, sizes = consume(scene, 3, 60)
    assert set(sizes) == {2}
    assert len([report for report in actor.reports if isinstance(report, BatchHalved)]) == 4  # 8 to 4 to 2, and 4 twice


def test_what_has_another_cause_is_tried_again_as_it_is(scene: Scene) -> None:
    add_game(scene.pg)
    for number in range(1, 9):
        scene.event(f"{number}-0", "game-a", "container_started", number)
    fails = [Unavailable("OOM")]

    def visit(crossing: Crossing) -> None:
        if fails and (crossing.name, crossing.when) == ("rows.write", When.BEFORE):
            raise fails.pop()

    actor = scene.actor(Boundaries(visit=visit), job=EIGHT)
    with pytest.raises(Unavailable):
        actor.worker.step()
    actor.rest()
    assert [str(commit.offset) for commit in scene.applied if commit.offset is not None] == ["8-0"]
