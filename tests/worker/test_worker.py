"""One step at a time: following an offset that was moved, what is told and what is remembered (I6, D2 to D5)."""

from __future__ import annotations

import pytest

from gmhealth.core.plan import Outcome
from gmhealth.core.snapshot import Snapshot
from gmhealth.errors import Unavailable, Unusable
from gmhealth.worker.events import Active, BatchDone, Idle, OffsetMoved
from tests.games import Game, add_game, game
from tests.ledger_keys import KEYS
from tests.worker.faulty import Boundaries, Fault, When, once_before
from tests.worker.scene import Scene


def away() -> None:
    """A server cannot be reached."""
    raise Unavailable("away")


def mark(scene: Scene) -> str:
    """The mark of the last commit."""
    return str(scene.redis.get(KEYS.mark), "utf-8").partition(" ")[2].partition("\t")[0]


def test_a_first_step_says_where_it_begins_and_does_a_batch(scene: Scene) -> None:
    add_game(scene.pg)
    scene.event("5-0", "game-a", "container_oom", 77)
    actor = scene.actor()
    actor.worker.step()
    active, done = actor.notices
    assert isinstance(active, Active)
    assert isinstance(done, BatchDone)
    assert (done.entries, str(done.last)) == (1, "5-0")
    assert game(scene.pg) == Game("engine_unreachable", 7, "oom")
    assert scene.snapshots() == [Snapshot("game-a", 7, "engine_unreachable", "oom", 77)]
    assert scene.offset() == "5-0"


def test_a_game_without_a_row_is_counted_and_the_batch_goes_on(scene: Scene) -> None:
    add_game(scene.pg)
    scene.event("1-0", "game-x", "container_oom")
    scene.event("2-0", "game-a", "container_oom")
    actor = scene.actor()
    actor.worker.step()
    done = actor.notices[-1]
    assert isinstance(done, BatchDone)
    assert [step.outcome for step in done.plan.steps] == [Outcome.NO_ROW, Outcome.SWAPPED]
    assert [snapshot.game_id for snapshot in scene.snapshots()] == ["game-a"]
    assert scene.offset() == "2-0"


def test_a_row_that_goes_away_meanwhile_is_no_row(scene: Scene) -> None:
    add_game(scene.pg)
    scene.event("1-0", "game-a", "container_oom")
    vanish = once_before("rows.write", lambda: scene.pg.execute("DELETE FROM runtime_records"))
    actor = scene.actor(Boundaries(visit=vanish))
    actor.worker.step()
    assert scene.snapshots() == []
    assert scene.offset() == "1-0"


def test_a_batch_without_any_event_uses_the_session_as_well(scene: Scene) -> None:
    """A flood of invalid entries must not let it idle: the server would end it, and with it the lock (design 3.4)."""
    scene.append("1-0", "no", "event")
    actor = scene.actor()
    actor.worker.step()
    names = actor.boundaries.names
    assert names[names.index("stream.read") + 1 :] == ["rows.keep_alive", "ledger.commit"]
    scene.append("2-0", "no", "event")
    scene.pg.execute(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with pytest.raises(Unavailable, match="PostgreSQL"):
        actor.worker.step()
    assert scene.offset() == "1-0"


def test_a_moved_offset_wins_over_the_batch_in_hand(scene: Scene) -> None:
    add_game(scene.pg)
    scene.event("1-0", "game-a", "container_oom", 1)
    scene.event("2-0", "game-a", "container_started", 2)

    def interfere() -> None:
        scene.reset("2-0")
        scene.pg.execute("UPDATE runtime_records SET status = 'stopped', current_turn = 9")

    actor = scene.actor(Boundaries(visit=once_before("ledger.commit", interfere)))
    actor.worker.step()
    assert OffsetMoved(None, "2-0", owed=1) in actor.notices
    assert not [notice for notice in actor.notices if isinstance(notice, BatchDone)]
    # The row as it is now, and the event that moved its status.
    assert scene.snapshots() == [Snapshot("game-a", 9, "stopped", "healthy", 1)]
    assert scene.offset() == "2-0"


def test_who_owes_nothing_tells_nothing_but_leaves_its_mark(scene: Scene) -> None:
    add_game(scene.pg, health="healthy")
    scene.event("1-0", "game-a", "inspect_unhealthy")
    actor = scene.actor(Boundaries(visit=once_before("ledger.commit", lambda: scene.reset("1-0"))))
    actor.worker.step()
    assert OffsetMoved(None, "1-0", owed=0) in actor.notices
    assert scene.snapshots() == []
    assert mark(scene) == "worker 1~2"


def test_a_moved_offset_clears_the_debounce(scene: Scene) -> None:
    add_game(scene.pg)
    scene.event("1-0", "game-a", "probe_failed", 1)
    actor = scene.actor()
    actor.rest()
    scene.reset("0-0")
    actor.worker.step()
    actor.rest()
    assert [snapshot.occurred_at_ms for snapshot in scene.snapshots()] == [1, 1]


def test_an_idle_worker_follows_a_moved_offset(scene: Scene) -> None:
    add_game(scene.pg)
    scene.event("1-0", "game-a", "container_oom")
    actor = scene.actor()
    actor.rest()
    actor.notices.clear()
    scene.reset("7-0")
    actor.worker.step()
    assert actor.notices == [OffsetMoved("1-0", "7-0", owed=0)]
    assert mark(scene) == "worker 1~2"
    scene.event("8-0", "game-a", "probe_recovered")
    actor.worker.step()
    assert (scene.offset(), game(scene.pg).status) == ("8-0", "running")


def test_a_worker_that_waits_follows_before_it_repeats_its_batch(scene: Scene) -> None:
    add_game(scene.pg)
    scene.event("1-0", "game-a", "container_oom", 1)
    actor = scene.actor(Boundaries(Fault(5, When.BEFORE, crash=False)))
    with pytest.raises(Unavailable, match=r"call 5, ledger\.commit"):
        actor.worker.step()
    scene.reset("1-0")
    actor.worker.step()
    assert OffsetMoved(None, "1-0", owed=1) in actor.notices
    assert scene.snapshots() == [Snapshot("game-a", 7, "engine_unreachable", "oom", 1)]


def test_a_lost_answer_to_a_commit_is_no_reason_to_commit_again(scene: Scene) -> None:
    add_game(scene.pg)
    scene.event("1-0", "game-a", "container_oom")
    actor = scene.actor(Boundaries(Fault(5, When.AFTER, crash=False)))
    with pytest.raises(Unavailable, match=r"call 5, ledger\.commit"):
        actor.worker.step()
    actor.notices.clear()
    actor.worker.step()
    assert [type(notice) for notice in actor.notices] == [BatchDone, Idle]
    assert len(scene.applied) == len(scene.snapshots()) == 1


def test_a_lost_answer_to_a_repair_is_no_reason_to_repair_again(scene: Scene) -> None:
    add_game(scene.pg)
    scene.event("1-0", "game-a", "container_oom")
    reset = once_before("ledger.commit", lambda: scene.reset("1-0"))
    actor = scene.actor(Boundaries(Fault(8, When.AFTER, crash=False), reset))
    with pytest.raises(Unavailable, match=r"call 8, ledger\.commit"):
        actor.worker.step()
    actor.rest()
    assert len(scene.snapshots()) == 1


def test_a_summary_is_remembered_once_it_is_sent(scene: Scene) -> None:
    add_game(scene.pg)
    actor = scene.actor()
    for at in range(1, 4):
        scene.event(f"{at}-0", "game-a", "inspect_unhealthy", at)
        actor.rest()
    assert [snapshot.occurred_at_ms for snapshot in scene.snapshots()] == [1]


def test_a_batch_that_is_tried_again_is_told_in_any_case(scene: Scene) -> None:
    """Its first try may have moved a status: the second one finds it moved, and a summary that was sent before."""
    add_game(scene.pg)
    scene.event("1-0", "game-a", "container_exited", 1)
    scene.event("2-0", "game-a", "container_started", 2)
    actor = scene.actor()
    actor.rest()
    scene.event("3-0", "game-a", "probe_recovered", 3)
    actor.boundaries.visit = once_before("ledger.commit", away)
    with pytest.raises(Unavailable, match="away"):
        actor.worker.step()
    actor.rest()
    assert scene.snapshots()[-1] == Snapshot("game-a", 7, "running", "healthy", 3)


def test_the_offset_is_never_guessed_from_garbage(scene: Scene) -> None:
    add_game(scene.pg)
    scene.event("1-0", "game-a", "container_oom")
    scene.reset("garbage")
    with pytest.raises(Unusable, match="no entry ID"):
        scene.actor().worker.step()
    assert game(scene.pg).status == "running"
