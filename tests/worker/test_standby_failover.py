"""Redis goes back in time beside a standby, which may be the only one that knows what is lost (I3, design 3.4)."""

from __future__ import annotations

import pytest

from gmhealth.adapters.redis_ledger import RedisLedger
from gmhealth.core.entry import EntryId
from gmhealth.core.snapshot import Snapshot
from gmhealth.errors import Unavailable
from gmhealth.worker.events import BatchDone, RolledBack
from tests.eventually import eventually
from tests.games import add_game, game
from tests.ledger_keys import KEYS
from tests.streams import everything, restore
from tests.worker.faulty import Crossing, When, once_before, raising
from tests.worker.scene import Actor, Scene, lock_held, takes_over

LOCKS = """
SELECT 1
  FROM pg_locks
  JOIN pg_database ON pg_database.oid = database
 WHERE datname = current_database() AND locktype = 'advisory'
"""
OOM = Snapshot("game-a", 7, "engine_unreachable", "oom", 2)


def told_at_2(scene: Scene) -> list[Snapshot]:
    return [snapshot for snapshot in scene.snapshots() if snapshot.occurred_at_ms == 2]


def loses_its_session_before_it_tells(scene: Scene, one: Actor, when: When = When.BEFORE) -> None:
    """It writes the row for an event at 2; then its commit, or the answer to it, is lost, and its session as well."""
    scene.event("2-0", "game-a", "container_oom", 2)
    one.boundaries.visit = raising(Unavailable("away"), "ledger.commit", when)
    with pytest.raises(Unavailable):
        one.rest()
    assert game(scene.pg).status == "engine_unreachable"
    one.rows.close()


@pytest.fixture
def pair(scene: Scene) -> tuple[Actor, Actor]:
    """An active one, which has told an event at 1, and its standby."""
    add_game(scene.pg)
    scene.event("1-0", "game-a", "inspect_unhealthy", 1)
    one, other = scene.actor(), scene.actor()
    one.rest()
    other.worker.step()
    return one, other


@pytest.fixture
def rolled_back(scene: Scene, pair: tuple[Actor, Actor]) -> tuple[Actor, Actor]:
    """One that told a transition and its standby; then a failover takes commit and entry back, and one's session."""
    one, other = pair
    before = everything(scene.redis)
    scene.event("2-0", "game-a", "container_oom", 2)
    one.rest()
    other.worker.step()
    assert scene.snapshots()[-1].occurred_at_ms == 2
    restore(scene.redis, before)
    one.rows.close()
    for actor in (one, other):
        actor.notices.clear()
    return one, other


def rollbacks(actor: Actor) -> list[RolledBack]:
    return [notice for notice in actor.notices.take() if isinstance(notice, RolledBack)]


def test_a_standby_that_takes_over_after_a_failover_of_redis_says_so(
    scene: Scene, rolled_back: tuple[Actor, Actor]
) -> None:
    takes_over(rolled_back[1])
    assert rollbacks(rolled_back[1]) == [RolledBack("2-0", "1-0", 0)]
    assert scene.offset() == "1-0"


def test_who_had_told_what_redis_lost_tells_it_again_though_another_one_has_the_lock(
    scene: Scene, rolled_back: tuple[Actor, Actor]
) -> None:
    """Nobody else knows of it: its entry is gone as well (I3)."""
    one, other = rolled_back
    takes_over(other)
    one.worker.step()
    assert rollbacks(one) == [RolledBack("2-0", "1-0", 1)]
    assert scene.snapshots()[-1] == Snapshot("game-a", 7, "engine_unreachable", "oom", 2)
    told = scene.snapshots()
    for _ in range(3):
        one.worker.step()
        other.worker.step()
    assert (scene.snapshots(), rollbacks(one)) == (told, [])
    scene.event("1-5", "game-a", "probe_recovered", 5)
    other.rest()
    assert (scene.offset(), scene.snapshots()[-1].runtime_status) == ("1-5", "running")


def test_what_the_other_one_commits_first_does_not_hide_it(scene: Scene, rolled_back: tuple[Actor, Actor]) -> None:
    """The Redis host died: waiting for it, one lost its session, and the other had events to go on with."""
    one, other = rolled_back
    takes_over(other)
    scene.event("1-5", "game-x", "container_started", 5)
    other.rest()
    for _ in range(3):
        one.worker.step()
    assert rollbacks(one) == [RolledBack("2-0", "1-5", 1)]
    assert told_at_2(scene) == [OOM]


def test_a_second_failover_to_the_same_commit_of_another_one_is_noticed(
    scene: Scene, pair: tuple[Actor, Actor]
) -> None:
    one, other = pair
    one.die()
    takes_over(other)
    before = everything(scene.redis)
    scene.event("2-0", "game-a", "container_oom", 2)
    other.rest()
    for _ in range(2):
        restore(scene.redis, before)
        assert told_at_2(scene) == []
        other.rest()
        assert told_at_2(scene) == [OOM]


def test_it_tells_it_once_it_can(scene: Scene, rolled_back: tuple[Actor, Actor]) -> None:
    """The first time another commit comes in between, the next time Redis is away."""
    one, other = rolled_back
    takes_over(other)
    scene.event("1-5", "game-a", "inspect_unhealthy", 5)

    def fails() -> None:
        raise Unavailable("away")

    one.boundaries.visit = once_before("ledger.commit", other.rest)
    one.worker.step()
    assert scene.snapshots()[-1].occurred_at_ms == 5
    one.boundaries.visit = once_before("ledger.commit", fails)
    with pytest.raises(Unavailable):
        one.worker.step()
    one.worker.step()
    assert scene.snapshots()[-1] == Snapshot("game-a", 7, "engine_unreachable", "inspect_unhealthy", 2)


@pytest.mark.parametrize("when", When)
@pytest.mark.parametrize("takes_turn", [False, True], ids=["standing by", "taking over"])
def test_what_redis_lost_is_told_again_once_whatever_becomes_of_the_telling(
    scene: Scene, rolled_back: tuple[Actor, Actor], when: When, takes_turn: bool
) -> None:
    """Its mark says whether it was applied (I5); if not, it is owed (I3), also by one that never came to stand by."""
    one, other = rolled_back
    takes_over(other)
    one.boundaries.visit = raising(Unavailable("away"), "ledger.commit", when)
    with pytest.raises(Unavailable):
        one.worker.step()
    if takes_turn:
        other.die()
        one.rows.close()
        scene.wait_until_alone()
    for _ in range(3):
        one.worker.step()
    assert told_at_2(scene) == [OOM]


def test_a_telling_is_known_below_what_the_other_one_committed_since(
    scene: Scene, rolled_back: tuple[Actor, Actor]
) -> None:
    one, other = rolled_back
    takes_over(other)
    one.boundaries.visit = raising(Unavailable("away"), "ledger.commit", When.AFTER)
    with pytest.raises(Unavailable):
        one.worker.step()
    scene.event("1-5", "game-x", "container_started", 5)
    other.rest()
    assert scene.offset() == "1-5"
    for _ in range(3):
        one.worker.step()
    assert told_at_2(scene) == [OOM]


def test_what_was_written_and_not_yet_told_is_told_by_who_wrote_it(scene: Scene, pair: tuple[Actor, Actor]) -> None:
    """Its commit hung on the Redis that died, until its session ended, too; the promoted one lacks the entry."""
    one, other = pair
    before = everything(scene.redis)
    loses_its_session_before_it_tells(scene, one)
    other.die()
    with lock_held(scene):
        one.worker.step()
        assert told_at_2(scene) == [], "as long as the entry is there it is for the active one to tell"
        restore(scene.redis, before)
        for _ in range(3):
            one.worker.step()
        assert told_at_2(scene) == [OOM]
    one.rest()
    assert told_at_2(scene) == [OOM]


def test_what_redis_lost_before_the_session_ended_is_not_taken_for_read(
    scene: Scene, pair: tuple[Actor, Actor]
) -> None:
    """The batch in hand then ends where the stream does, which is where the other one's offset is."""
    one, other = pair
    other.die()
    before = everything(scene.redis)
    scene.event("2-0", "game-a", "container_oom", 2)
    for _ in range(2):
        one.boundaries.visit = raising(Unavailable("without replicas"), "ledger.commit", When.BEFORE)
        with pytest.raises(Unavailable):
            one.rest()
        restore(scene.redis, before)
    one.rows.close()
    with lock_held(scene):
        for _ in range(3):
            one.worker.step()
        assert told_at_2(scene) == [OOM]
    one.rest()
    assert told_at_2(scene) == [OOM]


def test_what_a_dead_one_wrote_is_known_to_who_had_it_in_hand(scene: Scene, pair: tuple[Actor, Actor]) -> None:
    """It moved no status itself, and cannot write any more; Redis has lost the entry."""
    dead, heir = pair
    before = everything(scene.redis)
    loses_its_session_before_it_tells(scene, dead)
    dead.die()
    heir.boundaries.visit = raising(Unavailable("away"), "ledger.commit", When.BEFORE)
    with pytest.raises(Unavailable):
        takes_over(heir)
    heir.rows.close()
    with lock_held(scene):
        heir.worker.step()
        assert told_at_2(scene) == [], "as long as the entry is there it is for the active one to tell"
        restore(scene.redis, before)
        for _ in range(3):
            heir.worker.step()
        assert told_at_2(scene) == [OOM]


def test_what_the_other_one_has_told_is_not_told_again(scene: Scene, pair: tuple[Actor, Actor]) -> None:
    """Neither when its entries are trimmed one day, nor when the lock comes back."""
    one, other = pair
    loses_its_session_before_it_tells(scene, one)
    takes_over(other)
    other.rest()
    assert told_at_2(scene) == [OOM]
    one.worker.step()
    scene.redis.xtrim("events", maxlen=0, approximate=False)
    for _ in range(2):
        one.worker.step()
    other.die()
    takes_over(one)
    one.rest()
    assert told_at_2(scene) == [OOM]


@pytest.mark.parametrize("left", [{0, 1}, {0}, {1}], ids=["both", "who moved", "who told"])
def test_what_the_other_one_has_told_may_be_lost_as_well(
    scene: Scene, pair: tuple[Actor, Actor], left: set[int]
) -> None:
    """Who moved the status knows, and who told of it: whichever of them is left tells it again, or both (I3)."""
    one, other = pair
    before = everything(scene.redis)
    loses_its_session_before_it_tells(scene, one)
    takes_over(other)
    other.rest()
    assert told_at_2(scene) == [OOM]
    one.worker.step()
    restore(scene.redis, before)
    for gone in {0, 1} - left:
        pair[gone].die()
    eventually(lambda: 1 in left or scene.pg.execute(LOCKS).fetchone() is None)
    for _ in range(3):
        for actor in left:
            pair[actor].worker.step()
    assert {*told_at_2(scene)} == {OOM}


def test_what_came_after_a_telling_whose_answer_was_lost_is_told_as_well(
    scene: Scene, pair: tuple[Actor, Actor]
) -> None:
    """What was told is lost, what was written is still to be read; that is gone, too, when it comes to look again."""
    one, other = pair
    other.die()
    add_game(scene.pg, "game-b")
    before = everything(scene.redis)
    scene.event("2-0", "game-a", "container_oom", 2)
    one.rest()
    scene.event("3-0", "game-b", "container_oom", 3)
    one.boundaries.visit = raising(Unavailable("away"), "ledger.commit", When.BEFORE)
    with pytest.raises(Unavailable):
        one.rest()
    one.rows.close()
    restore(scene.redis, before)
    scene.event("2-0", "game-a", "container_oom", 2)
    scene.event("3-0", "game-b", "container_oom", 3)
    with lock_held(scene):
        one.boundaries.visit = raising(Unavailable("away"), "ledger.commit", When.AFTER)
        with pytest.raises(Unavailable):
            one.worker.step()
        assert scene.snapshots()[1:] == [OOM]
        scene.redis.xdel("events", "3-0")
        for _ in range(2):
            one.worker.step()
        assert scene.snapshots()[1:] == [OOM, Snapshot("game-b", 7, "engine_unreachable", "oom", 3)]


def test_a_telling_that_is_lost_as_the_lock_comes_back_is_noticed(
    scene: Scene, rolled_back: tuple[Actor, Actor]
) -> None:
    one, other = rolled_back
    takes_over(other)
    before = everything(scene.redis)
    one.worker.step()
    assert told_at_2(scene) == [OOM]
    other.die()
    restore(scene.redis, before)
    one.notices.clear()
    eventually(lambda: scene.pg.execute(LOCKS).fetchone() is None)
    one.worker.step()
    assert rollbacks(one) == [RolledBack("1-0", "1-0", 1)]
    assert told_at_2(scene) == [OOM]


def test_what_is_told_beside_leaves_word_whether_the_offset_was_read(
    scene: Scene, rolled_back: tuple[Actor, Actor]
) -> None:
    """Or the next one would not notice another stream in its place (I9)."""
    one, other = rolled_back
    takes_over(other)
    ledger = RedisLedger(one.client, KEYS, dead_letter_limit=1)
    before = ledger.saved()
    one.worker.step()
    saved = ledger.saved()
    assert saved.mark != before.mark
    assert saved.was_read
    assert before.was_read


def test_a_commit_whose_answer_was_lost_is_known_by_its_mark_also_beside_another_ones_turn(
    scene: Scene, pair: tuple[Actor, Actor]
) -> None:
    one, other = pair
    one.notices.take()
    loses_its_session_before_it_tells(scene, one, When.AFTER)
    takes_over(other)
    for _ in range(3):
        one.worker.step()
        other.worker.step()
    assert [done.last for done in one.notices if isinstance(done, BatchDone)] == [EntryId(2, 0)]
    other.die()
    one.notices.clear()
    takes_over(one)
    one.rest()
    assert told_at_2(scene) == [OOM]


def test_who_noticed_the_loss_and_lost_the_lock_before_it_could_tell_tells_beside_the_other(
    scene: Scene, rolled_back: tuple[Actor, Actor]
) -> None:
    one, other = rolled_back
    eventually(lambda: scene.pg.execute(LOCKS).fetchone() is None)  # nobody else has come for it as yet
    one.boundaries.visit = raising(Unavailable("away"), "ledger.commit", When.BEFORE)
    with pytest.raises(Unavailable):
        one.worker.step()
    assert rollbacks(one) == [RolledBack("2-0", "1-0", 1)]
    one.rows.close()
    takes_over(other)
    for _ in range(3):
        one.worker.step()
        other.worker.step()
    assert told_at_2(scene) == [OOM]


@pytest.mark.parametrize("looked", [False, True], ids=["at once", "after another look"])
def test_what_was_told_again_may_be_lost_again(scene: Scene, rolled_back: tuple[Actor, Actor], looked: bool) -> None:
    one, other = rolled_back
    takes_over(other)
    before = everything(scene.redis)
    one.worker.step()
    if looked:
        one.worker.step()
    restore(scene.redis, before)
    for _ in range(3):
        one.worker.step()
        other.worker.step()
    assert told_at_2(scene) == [OOM]
    assert rollbacks(one) == [RolledBack("2-0", "1-0", 1), RolledBack("1-0", "1-0", 1)]


def test_a_failover_to_before_another_one_took_over_is_noticed_as_well(scene: Scene) -> None:
    """The last commit that is left is its own, an earlier one than the other's that it has seen since."""
    add_game(scene.pg)
    scene.event("1-0", "game-a", "inspect_unhealthy", 1)
    one, other = scene.actor(), scene.actor()
    one.rest()
    before = everything(scene.redis)
    scene.event("2-0", "game-a", "container_oom", 2)
    one.rest()
    one.rows.close()
    takes_over(other)
    scene.event("3-0", "game-a", "inspect_unhealthy", 3)
    other.rest()
    one.worker.step()
    restore(scene.redis, before)
    one.worker.step()
    assert rollbacks(one) == [RolledBack("3-0", "1-0", 1)]
    assert [snapshot.runtime_status for snapshot in told_at_2(scene)] == ["engine_unreachable"]


def test_a_loss_that_cannot_be_told_for_long_is_said_once(scene: Scene, rolled_back: tuple[Actor, Actor]) -> None:
    one, other = rolled_back
    takes_over(other)

    def refuse(crossing: Crossing) -> None:
        if (crossing.name, crossing.when) == ("ledger.commit", When.BEFORE):
            raise Unavailable("NOREPLICAS")

    one.boundaries.visit = refuse
    for _ in range(4):
        with pytest.raises(Unavailable):
            one.worker.step()
    assert rollbacks(one) == [RolledBack("2-0", "1-0", 1)]


def test_telling_it_again_leaves_what_the_active_one_left(scene: Scene, rolled_back: tuple[Actor, Actor]) -> None:
    """From where an operator moved the offset away, and what a failover of PostgreSQL would run again."""
    one, other = rolled_back
    takes_over(other)
    one.boundaries.visit = once_before("ledger.commit", lambda: scene.reset("1-5"))
    ledger = RedisLedger(one.client, KEYS, dead_letter_limit=1)
    left = ledger.saved()
    one.worker.step()
    assert told_at_2(scene) == [OOM]
    saved = ledger.saved()
    assert (saved.text, saved.committed, saved.tail) == ("1-5", left.committed, left.tail)
