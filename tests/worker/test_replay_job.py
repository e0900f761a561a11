"""A replay is the same worker over a fixed range; the saved offset is none of its business."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gmhealth.adapters.redis_ledger import RedisLedger
from gmhealth.core.entry import EntryId
from gmhealth.core.mark import mark_of
from gmhealth.errors import Refused, Unavailable, WrittenInVain
from gmhealth.worker.events import Notice, RolledBack
from gmhealth.worker.job import Job
from gmhealth.worker.ports import Commit
from tests.games import Game, add_game, game, games
from tests.ledger_keys import KEYS
from tests.streams import everything, restore
from tests.worker.faulty import Boundaries, Fault, When, once_before, raising
from tests.worker.scene import Actor, Scene

RANGE = Job(start=EntryId(2, 0), until=EntryId(4, 0), batch_size=2, block_ms=1)


@pytest.fixture
def range_(scene: Scene) -> Scene:
    """Two games, and five entries with nonsense among them; the offset is beyond them."""
    add_game(scene.pg, "game-a")
    add_game(scene.pg, "game-b", status="engine_unreachable", turn=2)
    scene.event("1-0", "game-a", "inspect_unhealthy", 1)
    scene.event("2-0", "game-a", "container_oom", 2)
    scene.append("3-0", "game_id", "game-a", "event_type", "nonsense")
    scene.event("4-0", "game-b", "probe_recovered", 4)
    scene.event("5-0", "game-a", "container_exited", 5)
    scene.reset("100-0")
    return scene


def run(scene: Scene, job: Job, fault: Fault | None = None) -> Actor:
    """Step to the end."""
    actor = scene.actor(Boundaries(fault), job=job)
    while not actor.worker.done:
        try:
            actor.worker.step()
        except Unavailable:
            assert fault is not None
        except Refused:  # by its own session, which is not gone yet and of which it never knew
            assert fault == Fault(1, When.AFTER, crash=False)
    return actor


def told(scene: Scene) -> list[int]:
    """Which entries have a snapshot."""
    return [snapshot.occurred_at_ms for snapshot in scene.snapshots()]


def test_it_runs_the_range_both_ends_included_and_ends(range_: Scene) -> None:
    run(range_, RANGE)
    assert games(range_.pg) == {"game-a": Game("engine_unreachable", 7, "oom"), "game-b": Game("running", 2, "healthy")}
    assert told(range_) == [2, 4]


def test_it_never_moves_the_offset_and_writes_no_dead_letters(range_: Scene) -> None:
    run(range_, RANGE)
    assert range_.offset() == "100-0"
    assert range_.dead_letters() == []


def test_it_leaves_no_offset_where_there_was_none(range_: Scene) -> None:
    range_.redis.delete("offset")
    run(range_, RANGE)
    assert range_.offset() is None


def test_it_can_be_kept_to_some_games(range_: Scene) -> None:
    run(range_, replace(RANGE, games=frozenset({"game-b"})))
    assert game(range_.pg, "game-a") == Game("running", 7, "")
    assert told(range_) == [4]


def test_it_can_leave_statuses_alone(range_: Scene) -> None:
    run(range_, replace(RANGE, swap=False))
    assert games(range_.pg) == {
        "game-a": Game("running", 7, "oom"),
        "game-b": Game("engine_unreachable", 2, "healthy"),
    }
    assert [snapshot.runtime_status for snapshot in range_.snapshots()] == ["running", "engine_unreachable"]


def test_it_can_keep_quiet(range_: Scene) -> None:
    run(range_, replace(RANGE, publish=False))
    assert game(range_.pg, "game-a") == Game("engine_unreachable", 7, "oom")
    assert told(range_) == []


@pytest.mark.parametrize("job", [RANGE, replace(RANGE, publish=False)], ids=["aloud", "quiet"])
@pytest.mark.parametrize("when", When)
def test_whatever_call_fails_each_entry_is_told_once(range_: Scene, when: When, job: Job) -> None:
    clean = run(range_, job)
    clean.die()
    for at in range(1, len(clean.boundaries.names) + 1):
        range_.wait_until_alone()
        range_.redis.delete("lobby")
        range_.pg.execute("DELETE FROM runtime_records")
        add_game(range_.pg, "game-a")
        add_game(range_.pg, "game-b", status="engine_unreachable", turn=2)
        run(range_, job, Fault(at, when, crash=False)).die()
        assert told(range_) == ([2, 4] if job.publish else []), at


def test_a_failover_of_postgresql_ends_it_as_what_it_wrote_may_be_lost(range_: Scene) -> None:
    actor = range_.actor(job=replace(RANGE, batch_size=1))
    actor.worker.step()
    actor.rows.close()
    actor.worker.step()  # a session that was lost is none
    actor.rows.close()
    range_.promotions += 1
    with pytest.raises(WrittenInVain, match="failed over"):
        actor.worker.step()
    assert game(range_.pg, "game-b").status == "engine_unreachable", "nothing more was done"


@pytest.mark.parametrize("call", ["ledger.saved", "ledger.commit"])
def test_what_a_failover_of_redis_takes_with_it_is_told_again(range_: Scene, call: str) -> None:
    """Its entries are old, so no consumer reads them again: nobody else knows of what it moved (I3)."""
    actor = range_.actor(job=RANGE)
    before = everything(range_.redis)
    actor.worker.step()
    assert told(range_) == [2]
    actor.boundaries.visit = once_before(call, lambda: restore(range_.redis, before))
    while not actor.worker.done:
        actor.worker.step()
    assert sorted(told(range_)) == [2, 4]
    assert [notice.old for notice in actor.notices if isinstance(notice, RolledBack)] == ["100-0"]
    assert range_.offset() == "100-0"


def test_a_commit_is_known_below_that_of_a_standby_which_tells_beside_it(range_: Scene) -> None:
    """It has no offset that would say so, and would send all of its batch again (I5)."""

    actor = range_.actor(job=replace(RANGE, batch_size=3))
    actor.boundaries.visit = raising(Unavailable("the answer is lost"), "ledger.commit", When.AFTER)
    with pytest.raises(Unavailable):
        actor.worker.step()
    ledger = RedisLedger(actor.client, KEYS, dead_letter_limit=1)
    saved = ledger.saved()
    mark = mark_of("another", 1, read=False, after=saved.mark)
    assert ledger.commit(Commit(saved, None, mark, [], [], beside=True)) is None
    while not actor.worker.done:
        actor.worker.step()
    assert told(range_) == [2, 4]


def test_it_reads_nothing_before_its_start(range_: Scene) -> None:
    """A range beyond the end of a stream is empty, and no reason to take the stream for another one."""
    run(range_, Job(start=EntryId(50, 0), until=EntryId(60, 0), block_ms=1))
    assert told(range_) == []
    assert game(range_.pg, "game-a") == Game("running", 7, "")


def test_a_move_of_the_offset_meanwhile_is_not_its_concern(range_: Scene) -> None:
    actor = range_.actor(job=RANGE)
    seen: list[Notice] = []
    while not actor.worker.done:
        actor.worker.step()
        seen += actor.notices.take()
        range_.reset("3-0")
    assert told(range_) == [2, 4]
    assert range_.offset() == "3-0"


def test_one_that_was_suspended_does_not_send_its_old_snapshots_after_newer_ones(range_: Scene) -> None:
    """Its session ends, and with it the lock; what it has in hand, a consumer has made old meanwhile (design 3.4)."""

    def suspended() -> None:
        actor.rows.close()
        range_.wait_until_alone()
        range_.reset("4-0")
        range_.actor().rest()

    actor = range_.actor(Boundaries(visit=once_before("ledger.commit", suspended)), job=RANGE)
    actor.worker.step()
    assert told(range_) == [2, 5], "the consumer's own: what was skipped, as the row is, and what came next"
    with pytest.raises(Unavailable, match="another gmhealth holds the writer's lock"):
        actor.worker.step()
    assert told(range_) == [2, 5]
