"""One step at a time: following an offset that was moved, what is told and what is remembered (I6, D2 to D5)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gmhealth.core.commit_record import CommitRecord, unpack
from gmhealth.core.entry import START, EntryId
from gmhealth.core.journal import Done, unpack_events, unpack_lines
from gmhealth.core.plan import Outcome
from gmhealth.core.snapshot import Snapshot
from gmhealth.errors import Unavailable, Unusable
from gmhealth.worker.events import Active, BatchDone, OffsetMoved, OffsetRestored, RecordUnreadable, Settled
from tests.games import Game, add_game, game
from tests.ledger_keys import KEYS
from tests.worker.faulty import Boundaries, Crossing, When, once_before, raising
from tests.worker.scene import Actor, Scene


def record(scene: Scene) -> CommitRecord:
    """The commit record."""
    found = unpack(scene.redis.get(KEYS.record) or b"")
    assert found is not None
    return found


def batch(name: str) -> Callable[[Crossing], bool]:
    """Whether a crossing is before a call of this name, once a batch was read."""
    read = []

    def is_it(crossing: Crossing) -> bool:
        read.extend([1] * (crossing.name == "rows.write"))
        return bool(read) and (crossing.name, crossing.when) == (name, When.BEFORE)

    return is_it


def before_its_commit(act: Callable[[], object]) -> Callable[[Crossing], None]:
    """A visitor that acts once, right before a batch is committed."""
    is_it, left = batch("ledger.commit"), [act]

    def visit(crossing: Crossing) -> None:
        if is_it(crossing) and left:
            left.pop()()

    return visit


def settled(actor: Actor) -> list[Settled]:
    """What was reported of settling."""
    return [report for report in actor.reports if isinstance(report, Settled)]


def test_a_first_step_says_where_it_begins_and_does_a_batch(scene: Scene) -> None:
    add_game(scene.pg)
    scene.event("5-0", "game-a", "container_oom", 77)
    actor = scene.actor()
    actor.worker.step()
    settled, active, done = actor.reports
    assert isinstance(settled, Settled)
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
    done = actor.reports[-1]
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
    assert names[names.index("stream.read") + 1 :] == ["stream.state", "rows.keep_alive", "ledger.commit"]
    scene.append("2-0", "no", "event")
    scene.pg.execute(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with pytest.raises(Unavailable, match="PostgreSQL"):
        actor.worker.step()
    assert scene.offset() == "1-0"


def test_a_moved_offset_wins_over_the_batch_in_flight(scene: Scene) -> None:
    add_game(scene.pg)
    scene.event("1-0", "game-a", "container_oom", 1)
    scene.event("2-0", "game-a", "container_started", 2)

    def interfere() -> None:
        scene.reset("2-0")
        scene.pg.execute("UPDATE runtime_records SET status = 'stopped', current_turn = 9, updated_at = '2200-01-01Z'")

    actor = scene.actor(Boundaries(visit=before_its_commit(interfere)))
    actor.rest()
    assert OffsetMoved("0-0", "2-0") in actor.reports
    assert not [report for report in actor.reports if isinstance(report, BatchDone)]
    # The row as it is now, with its own time.
    assert scene.snapshots() == [Snapshot("game-a", 9, "stopped", "healthy", 7258118400000)]
    assert scene.offset() == "2-0"
    assert settled(actor)[-1] == Settled(EntryId(2, 0), published=1, repaired=0)


def test_settling_publishes_nothing_where_nothing_changed_and_leaves_a_record(scene: Scene) -> None:
    add_game(scene.pg, health="healthy")
    actor = scene.actor()
    actor.rest()
    first = record(scene)
    scene.reset("7-0")
    actor.rest()
    assert scene.snapshots() == []
    assert settled(actor) == [Settled(START, 0, 0), Settled(EntryId(7, 0), 0, 0)]
    assert (record(scene).worker, record(scene).offset) == (first.worker, "7-0")
    assert record(scene).n > first.n


def test_a_moved_offset_clears_the_debounce(scene: Scene) -> None:
    add_game(scene.pg)
    scene.event("1-0", "game-a", "probe_failed", 1)
    actor = scene.actor()
    actor.rest()
    scene.reset("0-0")
    actor.rest()
    assert [snapshot.occurred_at_ms for snapshot in scene.snapshots()] == [1, 1]


def test_an_idle_worker_follows_a_moved_offset(scene: Scene) -> None:
    add_game(scene.pg)
    scene.event("1-0", "game-a", "container_oom")
    actor = scene.actor()
    actor.rest()
    scene.reset("7-0")
    actor.rest()
    assert OffsetMoved("1-0", "7-0") in actor.reports
    scene.event("8-0", "game-a", "probe_recovered")
    actor.rest()
    assert (scene.offset(), game(scene.pg).status) == ("8-0", "running")


def test_a_lost_answer_publishes_a_games_last_state_once_more_at_most(scene: Scene) -> None:
    add_game(scene.pg)
    scene.event("1-0", "game-a", "container_oom")
    actor = scene.actor(Boundaries(visit=raising(Unavailable("lost"), "rows.write", When.AFTER)))
    with pytest.raises(Unavailable):
        actor.rest()
    actor.rest()
    shown = [(one.game_id, one.runtime_status, one.engine_health_summary) for one in scene.snapshots()]
    assert shown == [("game-a", "engine_unreachable", "oom")] * 2
    assert scene.snapshots()[-1].occurred_at_ms == 1000, "the event's own"


def test_the_offsets_key_alone_vanishes(scene: Scene) -> None:
    add_game(scene.pg)
    scene.event("1-0", "game-a", "container_oom")
    actor = scene.actor()
    actor.rest()
    scene.redis.delete(KEYS.offset)
    actor.rest()
    assert OffsetRestored(EntryId(1, 0)) in actor.reports
    assert scene.offset() == "1-0"
    assert len(scene.snapshots()) == 1
    actor.die()
    scene.wait_until_alone()
    scene.redis.delete(KEYS.offset)
    heir = scene.actor()
    heir.rest()
    assert OffsetRestored(EntryId(1, 0)) in heir.reports
    assert (scene.offset(), len(scene.snapshots())) == ("1-0", 1)


@pytest.mark.parametrize("held", [b"\xff\xfe", b"0-5 host:1:ab#12\t1/1 0-4", b"{}", b""])
def test_a_record_that_cannot_be_read_is_made_anew(scene: Scene, held: bytes) -> None:
    add_game(scene.pg)
    scene.event("1-0", "game-a", "container_oom")
    actor = scene.actor()
    actor.rest()
    scene.redis.set(KEYS.record, held)
    actor.rest()
    assert record(scene).offset == "1-0"
    assert len(scene.snapshots()) == 1
    scene.event("2-0", "game-a", "probe_recovered")
    actor.rest()
    assert scene.offset() == "2-0"


def test_a_record_is_renewed_once_a_minute(scene: Scene) -> None:
    """Or who takes over after hours would publish every row that others have changed meanwhile."""
    add_game(scene.pg, health="oom")
    actor = scene.actor()
    actor.rest()
    first = record(scene)
    scene.seconds += 59
    actor.rest()
    assert record(scene) == first
    scene.pg.execute("UPDATE runtime_records SET status = 'stopped', updated_at = clock_timestamp()")
    scene.seconds += 1
    actor.rest()
    assert (record(scene).n, record(scene).offset) == (first.n + 1, first.offset)
    assert record(scene).written_at > first.written_at
    actor.die()
    scene.wait_until_alone()
    scene.actor().rest()
    assert scene.snapshots() == []


@pytest.mark.since_redis_7
def test_the_record_says_how_many_entries_were_read(scene: Scene) -> None:
    add_game(scene.pg)
    for number in range(1, 4):
        scene.event(f"{number}-0", "game-a", "inspect_unhealthy")
    actor = scene.actor()
    actor.rest()
    assert record(scene).entries_read == 3
    scene.event("4-0", "game-a", "inspect_unhealthy")
    actor.rest()
    assert record(scene).entries_read == 4
    scene.reset("2-0")
    actor.worker.step()
    actor.worker.step()
    assert record(scene).entries_read is None
    actor.rest()
    assert record(scene).entries_read == 4


def test_each_commit_says_what_its_events_did(scene: Scene) -> None:
    add_game(scene.pg)
    scene.event("1-0", "game-a", "container_oom")
    scene.event("2-0", "game-x", "container_oom")
    scene.event("3-0", "game-a", "container_oom")
    scene.actor().rest()
    (commit,) = [commit for commit in scene.applied if commit.journal]
    assert commit.job == "consume"
    assert unpack_events(commit.journal) == [
        Done("1-0", "swapped", "running", "engine_unreachable", published=True),
        Done("2-0", "no_row", "", "", published=False),
        Done("3-0", "conflict", "engine_unreachable", "engine_unreachable", published=False),
    ]
    (line,) = unpack_lines(commit.writes)
    assert line[:6] == ("game-a", "engine_unreachable", "oom", "running", "engine_unreachable", "oom")
    assert line.updated_at == commit.record.written_at


def test_a_summary_is_remembered_once_it_is_sent(scene: Scene) -> None:
    add_game(scene.pg)
    actor = scene.actor()
    for at in range(1, 4):
        scene.event(f"{at}-0", "game-a", "inspect_unhealthy", at)
        actor.rest()
    assert [snapshot.occurred_at_ms for snapshot in scene.snapshots()] == [1]


def test_the_offset_is_never_guessed_from_garbage(scene: Scene) -> None:
    add_game(scene.pg)
    scene.event("1-0", "game-a", "container_oom")
    scene.reset("garbage")
    with pytest.raises(Unusable, match="no entry ID"):
        scene.actor().worker.step()
    assert game(scene.pg).status == "running"


@pytest.mark.parametrize("packed", [b"garbage", b"{}", b'{"id":"a"', b"\xff" * 100_000])
def test_a_commit_record_that_cannot_be_read_is_made_anew_and_that_is_reported(scene: Scene, packed: bytes) -> None:
    add_game(scene.pg)
    scene.event("1-0", "game-a", "container_oom")
    scene.redis.set(KEYS.record, packed)
    actor = scene.actor()
    actor.rest()
    assert actor.reports.count(RecordUnreadable()) == 1
    assert (scene.offset(), len(scene.snapshots())) == ("1-0", 1)
