"""In a backlog the next batch is read while PostgreSQL writes; everything else stays as it was."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gmhealth.core.continuity import StreamBehind, StreamReplaced
from gmhealth.errors import Unavailable
from gmhealth.worker.events import BatchDone
from tests.games import add_game, game
from tests.streams import everything, restore
from tests.worker.faulty import Boundaries, Crossing, When, once_before
from tests.worker.scene import QUICK, Scene


def a_backlog(scene: Scene, count: int) -> None:
    add_game(scene.pg)
    for at in range(1, count + 1):
        scene.event(f"{at}-0", "game-a", "probe_failed" if at % 2 else "container_started", at)


def test_a_full_batch_has_the_next_one_read_before_it_is_committed(scene: Scene) -> None:
    a_backlog(scene, 6)  # batches of 4
    actor = scene.actor()
    actor.rest()
    names = actor.boundaries.names
    first = names.index("rows.write")
    assert names[first : first + 6] == [
        *("rows.write", "stream.read", "ledger.commit"),
        *("rows.lock", "ledger.saved", "rows.write"),
    ]
    assert [done.entries for done in actor.reports if isinstance(done, BatchDone)] == [4, 2]
    assert names.count("stream.read") == 3  # the last one finds nothing


def test_a_batch_that_took_all_there_was_has_nothing_read_ahead(scene: Scene) -> None:
    a_backlog(scene, 3)
    actor = scene.actor()
    actor.worker.step()
    assert actor.boundaries.names.count("stream.read") == 1


def test_batches_grow_little_by_little(scene: Scene) -> None:
    """Large entries after small ones may end the process: by then some of them are committed (I7)."""
    a_backlog(scene, 700)
    actor = scene.actor(job=replace(QUICK, batch_size=10_000))
    actor.rest()
    assert [done.entries for done in actor.reports if isinstance(done, BatchDone)] == [100, 400, 200]


def test_a_reset_meanwhile_has_what_was_read_ahead_dropped(scene: Scene) -> None:
    a_backlog(scene, 8)
    actor = scene.actor()
    actor.worker.step()
    scene.reset("7-0")
    actor.rest()
    assert [one.occurred_at_ms for one in scene.snapshots()] == [1, 2, 3, 4, 8]


def test_what_fails_ahead_is_met_once_the_rows_are_written(scene: Scene) -> None:
    a_backlog(scene, 6)
    reads: list[str] = []

    def visit(crossing: Crossing) -> None:
        if (crossing.name, crossing.when) == ("stream.read", When.BEFORE):
            reads.append(boundaries.names[-2])
            if len(reads) == 2:
                raise Unavailable("away")

    boundaries = Boundaries(visit=visit)
    actor = scene.actor(boundaries)
    with pytest.raises(Unavailable):
        actor.worker.step()
    assert scene.offset() is None
    actor.rest()
    assert reads[:2] == ["ledger.commit", "rows.write"]
    assert scene.offset() == "6-0"
    assert game(scene.pg).engine_health == "healthy"
    assert [one.occurred_at_ms for one in scene.snapshots() if one.occurred_at_ms < 10] == [1, 2, 3, 4, 5, 6]


def test_a_failover_that_reading_ahead_met_is_not_passed_over_by_the_commit(scene: Scene) -> None:
    """Or the offset would lie beyond what the promoted server has, and all of it would be run again (I9, I10)."""
    a_backlog(scene, 2)
    actor = scene.actor()
    actor.rest()
    before = everything(scene.redis)
    for at in range(3, 9):
        scene.event(f"{at}-0", "game-a", "probe_failed" if at % 2 else "container_started", at)

    def fails_over() -> None:
        restore(scene.redis, before)
        raise Unavailable("away")

    actor.boundaries.visit = once_before("rows.write", lambda: setattr(actor.boundaries, "visit", ahead))
    ahead = once_before("stream.read", fails_over)
    with pytest.raises(Unavailable):
        actor.worker.step()
    actor.rest()
    assert scene.offset() == "2-0"
    assert not [report for report in actor.reports if isinstance(report, StreamBehind | StreamReplaced)]
    shown = scene.snapshots()[-1]
    assert (shown.runtime_status, shown.engine_health_summary) == game(scene.pg)[::2], "as the row is"
