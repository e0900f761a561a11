"""One writer at a time: standing by, taking over, and what a job with an end does instead (design 3.4)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gmhealth.core.continuity import RolledBack
from gmhealth.core.entry import EntryId
from gmhealth.core.snapshot import Snapshot
from gmhealth.errors import Refused, Unavailable
from gmhealth.worker.events import Active, Idle, Standby
from gmhealth.worker.job import Job
from tests.eventually import eventually
from tests.games import add_game, game
from tests.worker.faulty import Boundaries, Crash, Fault, When, once_before, raising
from tests.worker.scene import QUICK, Actor, Scene, lock_held, takes_over

ONCE = Job(until=EntryId(9, 0), block_ms=1)
REPLAY = Job(start=EntryId(1, 0), until=EntryId(9, 0), block_ms=1)


def test_a_second_worker_stands_by_says_so_once_and_does_nothing(scene: Scene) -> None:
    add_game(scene.pg)
    first = scene.actor(name="the first")
    first.rest()
    scene.event("1-0", "game-a", "container_oom")
    second = scene.actor()
    for _ in range(3):
        second.worker.step()
    standby, *idle = second.reports
    assert isinstance(standby, Standby)
    assert str(standby.holder).startswith("the first, PostgreSQL session ")
    assert {type(report) for report in idle} == {Idle}
    assert (game(scene.pg).status, scene.offset()) == ("running", None)


def test_a_standby_takes_over_where_the_other_one_ended(scene: Scene) -> None:
    add_game(scene.pg)
    first, second = scene.actor(), scene.actor()
    scene.event("1-0", "game-a", "container_oom")
    first.rest()
    second.worker.step()
    first.die()
    takes_over(second)
    assert Active(EntryId(1, 0)) in second.reports
    scene.event("2-0", "game-a", "probe_recovered")
    second.rest()
    assert (game(scene.pg).status, scene.offset()) == ("running", "2-0")


def test_who_fails_as_it_takes_over_again_says_so_once_it_has(scene: Scene) -> None:
    add_game(scene.pg)
    one, other = scene.actor(), scene.actor()
    one.rest()
    one.rows.close()
    scene.event("1-0", "game-a", "container_oom")
    takes_over(other)
    other.rest()
    one.worker.step()
    assert isinstance(one.reports[-2], Standby)
    other.die()

    def away() -> None:
        raise Unavailable("Redis is away")

    def fails() -> bool:
        try:
            one.worker.step()
        except Unavailable:
            return True
        return False

    one.boundaries.visit = once_before("ledger.commit", away)
    eventually(fails)
    one.reports.clear()
    one.worker.step()
    assert Active(EntryId(1, 0)) in one.reports


def moves_it_and_dies(scene: Scene) -> None:
    """Another one takes over, moves the status of `game-a` for an event at 3, and dies before it says so."""
    scene.event("3-0", "game-a", "probe_recovered", 3)
    other = scene.actor(Boundaries(visit=raising(Crash(), "ledger.commit", When.BEFORE)))
    with pytest.raises(Crash):
        takes_over(other)
    other.die()


def tells_of_it(scene: Scene, actor: Actor) -> None:
    """It takes over, and what the dead one did is told."""
    takes_over(actor)
    actor.rest()
    assert game(scene.pg).status == "running"
    assert scene.snapshots()[-1] == Snapshot("game-a", 7, "running", "healthy", 3)


def test_who_takes_the_lock_again_says_again_what_it_had_said(scene: Scene) -> None:
    """Hidden by the debounce, a dead worker's transition would never be told (I3)."""
    add_game(scene.pg)
    scene.event("1-0", "game-a", "container_exited", 1)
    scene.event("2-0", "game-a", "container_started", 2)
    one = scene.actor()
    one.rest()
    one.rows.close()  # the session ends, as the server may end it
    moves_it_and_dies(scene)
    tells_of_it(scene, one)


def test_nor_does_what_it_finds_to_be_applied_then_hide_it(scene: Scene) -> None:
    """Its last commit went through and its answer was lost; the session as well, and another wrote since (I3)."""
    add_game(scene.pg)
    scene.event("1-0", "game-a", "container_exited", 1)
    one = scene.actor()
    one.rest()
    scene.event("2-0", "game-a", "container_started", 2)
    one.boundaries.visit = raising(Unavailable("the answer is lost"), "ledger.commit", When.AFTER)
    with pytest.raises(Unavailable):
        one.rest()
    one.rows.close()
    moves_it_and_dies(scene)
    tells_of_it(scene, one)


@pytest.mark.parametrize("looked", [True, False])
def test_who_takes_over_beside_an_offset_that_was_reset_meanwhile_knows_of_no_failover(
    scene: Scene, looked: bool
) -> None:
    add_game(scene.pg)
    for number in range(1, 6):
        scene.event(f"{number}-0", "game-a", "probe_failed", number)
    one = scene.actor()
    one.rest()
    one.rows.close()
    other = scene.actor(job=replace(QUICK, batch_size=1))
    takes_over(other)
    one.worker.step()
    scene.reset("1-0")
    other.worker.step()  # it follows, and commits
    if looked:
        one.worker.step()
    other.die()
    takes_over(one)
    assert not [report for report in one.reports if isinstance(report, RolledBack)]


@pytest.mark.parametrize("job", [ONCE, REPLAY], ids=["once", "replay"])
def test_a_job_with_an_end_does_not_stand_by(scene: Scene, job: Job) -> None:
    add_game(scene.pg)
    scene.event("1-0", "game-a", "container_oom")
    with lock_held(scene), pytest.raises(Refused, match=r"holds the leader lock: .*PostgreSQL session"):
        scene.actor(job=job).worker.step()
    assert game(scene.pg).status == "running"


@pytest.mark.parametrize("job", [ONCE, REPLAY], ids=["once", "replay"])
def test_a_job_that_lost_its_session_is_not_turned_away_by_what_is_left_of_it(scene: Scene, job: Job) -> None:
    add_game(scene.pg)
    scene.event("1-0", "game-a", "container_oom")
    actor = scene.actor(Boundaries(Fault(5, When.BEFORE, crash=False)), job=job)
    with pytest.raises(Unavailable):
        actor.worker.step()
    actor.rows.close()
    with lock_held(scene), pytest.raises(Unavailable, match="leader lock"):
        actor.worker.step()  # the server has not noticed yet that the session is gone
    while not actor.worker.done:
        actor.worker.step()
    assert [snapshot.occurred_at_ms for snapshot in scene.snapshots()] == [1000]
