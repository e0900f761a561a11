"""PostgreSQL fails over and loses its last commits: what was written last is run again, once (design 3.4, I10)."""

from __future__ import annotations

import pytest

from gmhealth.core.entry import START, EntryId
from gmhealth.core.snapshot import Snapshot
from gmhealth.worker.events import Active, BatchDone, FailedOver, Idle
from gmhealth.worker.job import Job
from tests.games import add_game, game, games
from tests.worker import short_incident as incident
from tests.worker.faulty import Boundaries, Crash, Crossing, Fault, When
from tests.worker.player import play
from tests.worker.scene import Actor, Scene
from tests.worker.short_incident import LAST, entry_id
from tests.worker.witness import Witness

SPAN = 60_000
ONE_BY_ONE = Job(batch_size=1, block_ms=1, rerun_ms=SPAN)
ALL = range(1, LAST + 1)


def fail_over(scene: Scene, *, keeping: int = 0) -> None:
    """Promote a server that has the rows as they were after the first `keeping` entries; sessions end."""
    scene.pg.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    scene.wait_until_alone()
    scene.pg.execute("DELETE FROM runtime_records")
    for game_id, row in incident.rows_after(*range(1, keeping + 1)).items():
        add_game(scene.pg, game_id, status=row.status, turn=row.current_turn, health=row.engine_health)
    scene.promotions += 1


def consumed(scene: Scene) -> Actor:
    """A worker that has consumed an `oom`, and an hour later a `probe_recovered`."""
    add_game(scene.pg)
    actor = scene.actor(job=ONE_BY_ONE)
    for number, kind in ((1, "inspect_unhealthy"), (2, "container_oom"), (3, "probe_recovered")):
        scene.event(entry_id(number), "game-a", kind, number)
        scene.now_ms += SPAN
        actor.rest()
    return actor


def forget(actor: Actor) -> None:
    """Forget what was said, but for that it is active."""
    actor.notices[:] = [notice for notice in actor.notices if isinstance(notice, Active)]


def promote(scene: Scene, actor: Actor, *, status: str = "engine_unreachable") -> None:
    """A server without the last commit takes over, and the worker finds it."""
    actor.rows.close()
    scene.promotions += 1
    scene.pg.execute("UPDATE runtime_records SET status = %s, engine_health = 'oom'", [status])
    forget(actor)


def batches(actor: Actor) -> list[EntryId]:
    return [notice.last for notice in actor.notices if isinstance(notice, BatchDone)]


def failovers(actor: Actor) -> list[tuple[EntryId, EntryId]]:
    return [(notice.offset, notice.start) for notice in actor.notices if isinstance(notice, FailedOver)]


def test_what_was_written_last_is_run_again_and_said_once(scene: Scene) -> None:
    actor = consumed(scene)
    promote(scene, actor)
    actor.rest()
    assert failovers(actor) == [(EntryId(3, 0), EntryId(1, 0))]
    assert batches(actor) == [EntryId(2, 0), EntryId(3, 0)]
    assert (game(scene.pg).status, scene.offset()) == ("running", "3-0")
    assert scene.snapshots()[-1] == Snapshot("game-a", 7, "running", "healthy", 3)
    actor.rows.close()
    forget(actor)
    actor.rest()
    assert (failovers(actor), batches(actor)) == ([], [])


def test_who_takes_over_after_it_knows_as_well(scene: Scene) -> None:
    first = consumed(scene)
    promote(scene, first)
    first.die()
    second = scene.actor(job=ONE_BY_ONE)
    second.rest()
    assert failovers(second) == [(EntryId(3, 0), EntryId(1, 0))]
    assert game(scene.pg).status == "running"
    second.die()
    scene.wait_until_alone()
    third = scene.actor(job=ONE_BY_ONE)
    third.rest()
    assert failovers(third) == []


@pytest.mark.parametrize("by", ["the worker itself", "its standby"])
def test_what_was_written_long_before_was_not_lost(scene: Scene, by: str) -> None:
    first, second = consumed(scene), scene.actor(job=ONE_BY_ONE)
    for _ in range(3):
        second.worker.step()
        first.worker.step()
        scene.now_ms += SPAN
    promote(scene, first, status="generation_in_progress")
    if by == "its standby":
        first.die()
    actor = first if by == "the worker itself" else second
    actor.rest()
    assert failovers(actor) == [(EntryId(3, 0), EntryId(3, 0))]
    assert batches(actor) == []


def test_what_was_trimmed_cannot_be_run_again_and_is_not_called_lost(scene: Scene) -> None:
    actor = consumed(scene)
    scene.redis.xtrim("events", minid="3-0", approximate=False)
    promote(scene, actor)
    actor.rest()
    assert failovers(actor) == [(EntryId(3, 0), START)]
    assert batches(actor) == [EntryId(3, 0)]
    assert {type(notice) for notice in actor.notices} == {Active, FailedOver, BatchDone, Idle}


def test_an_offset_that_an_operator_moved_meanwhile_stays(scene: Scene) -> None:
    actor = consumed(scene)
    scene.event("4-0", "game-a", "container_oom", 4)
    scene.reset("4-0")
    promote(scene, actor)
    actor.rest()
    assert failovers(actor) == [(EntryId(4, 0), EntryId(4, 0))]
    assert (batches(actor), scene.offset()) == ([], "4-0")


def test_a_replay_leaves_it_to_the_consumer(scene: Scene) -> None:
    actor = consumed(scene)
    promote(scene, actor)
    actor.die()
    replay = scene.actor(job=Job(start=EntryId(2, 0), until=EntryId(2, 0), block_ms=1))
    while not replay.worker.done:
        replay.worker.step()
    replay.die()
    scene.wait_until_alone()
    consumer = scene.actor(job=ONE_BY_ONE)
    consumer.rest()
    assert failovers(consumer) == [(EntryId(3, 0), EntryId(1, 0))]


def test_a_commit_of_a_version_that_did_not_save_it_is_run_again_by_nobody(scene: Scene) -> None:
    consumed(scene).die()
    scene.wait_until_alone()
    scene.redis.set("mark", "3-0 another#9")
    scene.promotions += 1
    actor = scene.actor(job=ONE_BY_ONE)
    actor.rest()
    assert (failovers(actor), batches(actor)) == ([], [])


def calls_after_a_failover(scene: Scene) -> int:
    """How many calls a worker makes that finds PostgreSQL failed over."""
    boundaries = Boundaries()
    _play_over(scene, boundaries, keeping=7)
    return len(boundaries.names)


def _play_over(scene: Scene, boundaries: Boundaries, *, keeping: int) -> Witness:
    incident.record(scene)
    play(scene, Boundaries())
    fail_over(scene, keeping=keeping)
    watch, told = Witness(scene), boundaries.visit

    def visit(crossing: Crossing) -> None:
        watch(crossing)
        told(crossing)

    boundaries.visit = visit
    play(scene, boundaries)
    scene.wait_until_alone()
    return watch


@pytest.mark.parametrize("crash", [False, True], ids=["failure", "crash"])
@pytest.mark.parametrize("when", When)
def test_whatever_fails_meanwhile_the_rows_come_to_the_same_and_every_transition_is_told(
    scene: Scene, when: When, crash: bool
) -> None:
    for at in range(1, calls_after_a_failover(scene) + 1):
        witness = _play_over(scene, Boundaries(Fault(at, when, crash)), keeping=7)
        assert games(scene.pg) == incident.rows_after(*ALL), at
        assert scene.offset() == entry_id(LAST), at
        assert witness.unreported() == set(), at


@pytest.mark.parametrize("keeping", ALL)
def test_however_much_was_lost(scene: Scene, keeping: int) -> None:
    witness = _play_over(scene, Boundaries(), keeping=keeping)
    assert games(scene.pg) == incident.rows_after(*ALL)
    assert witness.unreported() == set()


def test_what_a_dead_worker_owed_is_told_as_well(scene: Scene) -> None:
    """It had moved a status and not said so, and an operator went past that entry."""
    first = consumed(scene)
    scene.event("4-0", "game-a", "container_oom", 4)

    def visit(crossing: Crossing) -> None:
        if (crossing.name, crossing.when) == ("rows.write", When.AFTER):
            raise Crash

    first.boundaries.visit = visit
    with pytest.raises(Crash):
        first.rest()
    first.die()
    scene.wait_until_alone()
    scene.event("5-0", "game-x", "container_started", 5)
    scene.reset("5-0")
    scene.promotions += 1
    second = scene.actor(job=ONE_BY_ONE)
    second.rest()
    assert failovers(second) == [(EntryId(5, 0), EntryId(5, 0))]
    assert scene.snapshots()[-1] == Snapshot("game-a", 7, "engine_unreachable", "oom", 4)
