"""Silence is noticed: a stream that was trimmed, emptied, recreated or removed is said once, and read on from (I9)."""

from __future__ import annotations

from collections.abc import Callable

from gmhealth.core.continuity import EntriesLost, StreamBehind, StreamGone
from gmhealth.core.entry import EntryId
from gmhealth.core.snapshot import Snapshot
from gmhealth.ports import Active, Notice, RolledBack
from tests.games import add_game
from tests.streams import everything
from tests.worker.faulty import Crossing, When
from tests.worker.scene import Actor, Scene


def consumed(scene: Scene, count: int = 4) -> Actor:
    """A worker at rest that has consumed entries 1-0 to `count`-0."""
    add_game(scene.pg)
    for at in range(1, count + 1):
        scene.event(f"{at}-0", "game-a", "inspect_unhealthy", at)
    actor = scene.actor()
    actor.rest()
    actor.notices.clear()
    return actor


def breaks(actor: Actor, *, steps: int) -> list[Notice]:
    """What is said of breaks in so many steps."""
    for _ in range(steps):
        actor.worker.step()
    return [notice for notice in actor.notices.take() if isinstance(notice, EntriesLost | StreamBehind | StreamGone)]


def test_a_stream_that_goes_on_is_no_break(scene: Scene) -> None:
    actor = consumed(scene)
    scene.event("5-0", "game-a", "container_oom")
    assert breaks(actor, steps=3) == []


def test_what_was_consumed_may_be_trimmed(scene: Scene) -> None:
    actor = consumed(scene)
    scene.redis.xtrim("events", maxlen=0, approximate=False)
    scene.event("5-0", "game-a", "container_oom")
    assert breaks(actor, steps=3) == []
    assert scene.offset() == "5-0"


def test_a_removed_stream_is_said_once(scene: Scene) -> None:
    actor = consumed(scene)
    scene.redis.delete("events")
    assert breaks(actor, steps=3) == [StreamGone(EntryId(4, 0))]
    assert scene.offset() == "4-0"


def test_a_stream_begun_anew_behind_the_offset_is_said_once_and_read_from_its_start(scene: Scene) -> None:
    actor = consumed(scene)
    scene.redis.delete("events")
    scene.event("2-5", "game-a", "container_oom", 25)
    assert breaks(actor, steps=3) == [StreamBehind(EntryId(4, 0), EntryId(2, 5))]
    assert scene.offset() == "2-5"
    assert scene.snapshots()[-1].occurred_at_ms == 25


def test_an_empty_stream_behind_the_offset_is_said_once(scene: Scene) -> None:
    actor = consumed(scene)
    scene.redis.delete("events")
    scene.event("1-0", "game-a", "container_oom")
    scene.redis.xtrim("events", maxlen=0, approximate=False)
    assert breaks(actor, steps=4) == [StreamBehind(EntryId(4, 0), EntryId(1, 0))]


def test_entries_that_were_trimmed_before_they_were_read_are_counted_and_said_once(scene: Scene) -> None:
    actor = consumed(scene)
    for at in range(5, 9):
        scene.event(f"{at}-0", "game-a", "container_oom", at)
    scene.redis.xtrim("events", minid="7-0", approximate=False)
    assert breaks(actor, steps=3) == [EntriesLost(EntryId(4, 0), EntryId(7, 0), 2, exact=True)]
    assert scene.offset() == "8-0"


def test_losing_all_that_was_new_is_said_once(scene: Scene) -> None:
    actor = consumed(scene)
    for at in range(5, 9):
        scene.event(f"{at}-0", "game-a", "container_oom", at)
    scene.redis.xtrim("events", maxlen=0, approximate=False)
    assert breaks(actor, steps=3) == [EntriesLost(EntryId(4, 0), None, 4, exact=True)]


def test_a_worker_that_starts_after_a_loss_says_so_too(scene: Scene) -> None:
    consumed(scene).die()
    for at in range(5, 9):
        scene.event(f"{at}-0", "game-a", "container_oom", at)
    scene.redis.xtrim("events", minid="7-0", approximate=False)
    scene.wait_until_alone()
    assert breaks(scene.actor(), steps=3) == [EntriesLost(EntryId(4, 0), EntryId(7, 0), 6, exact=False)]


def once_before(name: str, act: Callable[[], object]) -> Callable[[Crossing], None]:
    """A visitor that acts right before the first call of this name."""
    waiting = [act]

    def visit(crossing: Crossing) -> None:
        if waiting and (crossing.name, crossing.when) == (name, When.BEFORE):
            waiting.pop()()

    return visit


def restore(scene: Scene, saved: dict[bytes, bytes]) -> None:
    """Put Redis back to where it was, as a replica that lacks the rest does when it is promoted."""
    scene.redis.flushdb()
    for key, value in saved.items():
        scene.redis.restore(key, 0, value)


def test_a_redis_that_has_lost_commits_is_told_the_statuses_again_that_it_was_told(scene: Scene) -> None:
    actor = consumed(scene)
    actor.notices.append(Active(EntryId(4, 0)))
    before = everything(scene.redis)
    scene.event("5-0", "game-a", "container_oom", 5)
    actor.rest()
    restore(scene, before)
    actor.rest()
    assert [notice for notice in actor.notices if isinstance(notice, RolledBack)] == [RolledBack("5-0", "4-0", 1)]
    assert scene.offset() == "4-0"
    assert scene.snapshots()[-1] == Snapshot("game-a", 7, "engine_unreachable", "oom", 5)
    scene.event("4-1", "game-a", "probe_recovered", 6)  # by a clock that is behind
    actor.rest()
    assert scene.snapshots()[-1] == Snapshot("game-a", 7, "running", "healthy", 6)


def test_the_same_where_only_a_batch_in_hand_finds_out(scene: Scene) -> None:
    actor = consumed(scene)
    actor.notices.append(Active(EntryId(4, 0)))
    before = everything(scene.redis)
    scene.event("5-0", "game-a", "container_oom", 5)
    actor.rest()
    scene.event("6-0", "game-a", "inspect_unhealthy", 6)
    actor.boundaries.visit = once_before("ledger.commit", lambda: restore(scene, before))
    actor.rest()
    assert RolledBack("5-0", "4-0", 1) in actor.notices
    assert scene.snapshots()[-1] == Snapshot("game-a", 7, "engine_unreachable", "inspect_unhealthy", 5)


def test_an_operators_reset_is_no_loss(scene: Scene) -> None:
    actor = consumed(scene)
    scene.reset("2-0")
    actor.worker.step()
    assert not [notice for notice in actor.notices if isinstance(notice, RolledBack)]
