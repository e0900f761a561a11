"""A replay is the same worker over a fixed range; the saved offset is none of its business."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gmhealth.core.continuity import RolledBack
from gmhealth.core.entry import EntryId
from gmhealth.errors import Refused, Unavailable
from gmhealth.worker.events import Report
from gmhealth.worker.job import Job
from tests.games import Game, add_game, game, games
from tests.streams import everything, restore
from tests.worker.faulty import Boundaries, Crossing, Fault, When, ignore, once_before
from tests.worker.scene import Actor, Scene, takes_over

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
def test_whatever_call_fails_each_entry_is_published_and_last_the_row(range_: Scene, when: When, job: Job) -> None:
    clean = run(range_, job)
    clean.die()
    for at in range(1, len(clean.boundaries.names) + 1):
        range_.wait_until_alone()
        range_.redis.delete("lobby")
        range_.pg.execute("DELETE FROM runtime_records")
        add_game(range_.pg, "game-a")
        add_game(range_.pg, "game-b", status="engine_unreachable", turn=2)
        run(range_, job, Fault(at, when, crash=False)).die()
        events = [at for at in told(range_) if at < 10]
        assert sorted({*events}) == ([2, 4] if job.publish else []), at
        assert events == sorted(events), at
        if job.publish:
            last = {one.game_id: (one.runtime_status, one.engine_health_summary) for one in range_.snapshots()}
            assert last == {game_id: row[::2] for game_id, row in games(range_.pg).items()}


def test_what_a_failover_of_postgresql_lost_is_written_again_and_the_replay_goes_on(range_: Scene) -> None:
    actor = range_.actor(job=replace(RANGE, batch_size=1))
    actor.worker.step()
    actor.rows.close()
    range_.promotions += 1
    range_.pg.execute("UPDATE runtime_records SET status = 'running', engine_health = '', updated_at = '2020-01-01Z'")
    while not actor.worker.done:
        actor.worker.step()
    assert game(range_.pg, "game-a") == Game("engine_unreachable", 7, "oom")
    assert game(range_.pg, "game-b").status == "running"


def test_what_a_failover_of_redis_takes_with_it_is_published_again(range_: Scene) -> None:
    """Its entries are old, so no consumer reads them again: nobody else knows of what it moved (I3)."""
    one = range_.actor(job=RANGE)
    one.worker.step()
    before = everything(range_.redis)
    range_.redis.delete("lobby")
    one.die()
    actor = range_.actor(job=RANGE)
    takes_over(actor)
    actor.boundaries.visit = once_before("ledger.commit", lambda: restore(range_.redis, before))
    while not actor.worker.done:
        actor.worker.step()
    last = {one.game_id: (one.runtime_status, one.engine_health_summary) for one in range_.snapshots()}
    assert last == {game_id: row[::2] for game_id, row in games(range_.pg).items()}
    assert [report.offset for report in actor.reports if isinstance(report, RolledBack)] == [EntryId(100, 0)]
    assert range_.offset() == "100-0"


def test_it_reads_nothing_before_its_start(range_: Scene) -> None:
    """A range beyond the end of a stream is empty, and no reason to take the stream for another one."""
    run(range_, Job(start=EntryId(50, 0), until=EntryId(60, 0), block_ms=1))
    assert told(range_) == []
    assert game(range_.pg, "game-a") == Game("running", 7, "")


def test_a_move_of_the_offset_meanwhile_is_not_its_concern(range_: Scene) -> None:
    actor = range_.actor(job=RANGE)
    seen: list[Report] = []
    while not actor.worker.done:
        actor.worker.step()
        seen += actor.reports.take()
        range_.reset("3-0")
    assert told(range_) == [2, 4]
    assert range_.offset() == "3-0"


def test_one_that_was_suspended_does_not_send_its_old_snapshots_after_newer_ones(range_: Scene) -> None:
    """Its session ends, and with it the lock; a consumer has made its batch old meanwhile (design 3.4)."""
    actor = range_.actor(job=RANGE)

    def suspended(crossing: Crossing) -> None:
        if "rows.write" in actor.boundaries.names and crossing[1:] == ("ledger.commit", When.BEFORE):
            actor.boundaries.visit = ignore
            actor.rows.close()
            range_.wait_until_alone()
            range_.reset("4-0")
            range_.actor().rest()

    actor.boundaries.visit = suspended
    with pytest.raises(Unavailable, match="another gmhealth"):
        actor.worker.step()
    published = range_.snapshots()
    assert [one.occurred_at_ms for one in published][-1] == 5, "the consumer's own"
    with pytest.raises(Unavailable, match="another gmhealth holds the leader lock"):
        actor.worker.step()
    assert range_.snapshots() == published
