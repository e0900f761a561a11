"""Silence is noticed: a stream that was trimmed, emptied, recreated or removed is said once, and read on from (I9)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gmhealth.adapters.redis.breaks import unpack_break
from gmhealth.core.continuity import Break, EntriesLost, RolledBack, StreamBehind, StreamGone, StreamReplaced
from gmhealth.core.entry import START, EntryId
from gmhealth.core.snapshot import Snapshot
from gmhealth.errors import Unavailable
from gmhealth.worker.events import Active, Report
from tests.games import add_game, game
from tests.ledger_keys import KEYS
from tests.streams import everything, restore
from tests.worker.faulty import Crossing, When, once_before
from tests.worker.scene import Actor, Scene, takes_over


def consumed(scene: Scene, count: int = 4) -> Actor:
    """A worker at rest that has consumed entries 1-0 to `count`-0."""
    add_game(scene.pg)
    for at in range(1, count + 1):
        scene.event(f"{at}-0", "game-a", "inspect_unhealthy", at)
    actor = scene.actor()
    actor.rest()
    actor.reports.clear()
    return actor


def shown(scene: Scene) -> tuple[int, str, str]:
    """Turn, status and summary of the last snapshot."""
    last = scene.snapshots()[-1]
    return last.current_turn, last.runtime_status, last.engine_health_summary


def raising_once(act: Callable[[], object], name: str) -> Callable[[Crossing], None]:
    """A visitor that acts once right after a call of this name was carried out."""
    left = [act]

    def visit(crossing: Crossing) -> None:
        if left and (crossing.name, crossing.when) == (name, When.AFTER):
            left.pop()()

    return visit


def restarted(scene: Scene, actor: Actor) -> Actor:
    """Another worker, which has not seen that the stream was read to its end."""
    actor.die()
    scene.wait_until_alone()
    return scene.actor()


def breaks(actor: Actor, *, steps: int) -> list[Report]:
    """What is said of breaks in so many steps."""
    for _ in range(steps):
        actor.worker.step()
    return [report for report in actor.reports.take() if isinstance(report, Break)]


def said_at_once_and_once(actor: Actor) -> Report:
    """What is said in one step and not again in the next ones."""
    (said,) = breaks(actor, steps=1)
    assert breaks(actor, steps=4) == []
    return said


@pytest.mark.usefixtures("counted")
def test_a_stream_that_goes_on_is_no_break(scene: Scene) -> None:
    actor = consumed(scene)
    scene.event("5-0", "game-a", "container_oom")
    assert breaks(actor, steps=3) == []


@pytest.mark.since_redis_7
def test_what_was_consumed_may_be_trimmed(scene: Scene) -> None:
    actor = consumed(scene)
    scene.redis.xtrim("events", maxlen=0, approximate=False)
    scene.event("5-0", "game-a", "container_oom")
    assert breaks(actor, steps=3) == []
    assert scene.offset() == "5-0"


@pytest.mark.usefixtures("counted")
def test_a_stream_that_was_read_to_its_end_and_expired_is_no_loss(scene: Scene) -> None:
    actor = consumed(scene)
    scene.redis.delete("events")
    assert breaks(actor, steps=4) == []
    scene.event("9-0", "game-a", "container_oom", 90)
    assert breaks(actor, steps=4) == []
    assert scene.offset() == "9-0"


@pytest.mark.usefixtures("counted")
def test_a_stream_that_vanished_unseen_is_said_once(scene: Scene) -> None:
    actor = restarted(scene, consumed(scene))
    scene.redis.delete("events")
    assert said_at_once_and_once(actor) == StreamGone(EntryId(4, 0))
    assert scene.offset() == "4-0"


@pytest.mark.usefixtures("counted")
def test_a_stream_begun_anew_behind_the_offset_is_said_once_and_read_from_its_start(scene: Scene) -> None:
    actor = consumed(scene)
    scene.redis.delete("events")
    scene.event("2-5", "game-a", "container_oom", 25)
    assert said_at_once_and_once(actor) == StreamBehind(EntryId(4, 0), EntryId(2, 5))
    assert scene.offset() == "2-5"
    assert scene.snapshots()[-1].occurred_at_ms == 25


@pytest.mark.parametrize("at", [5, 9])
def test_a_stream_begun_anew_after_the_offset_is_said_once_and_read_from_its_start(
    scene: Scene, at: int, counted: bool
) -> None:
    actor = consumed(scene)
    scene.redis.delete("events")
    for each in range(at, 14):
        scene.event(f"{each}-0", "game-a", "container_oom", each)
    offset, first = EntryId(4, 0), EntryId(at, 0)
    trimmed = EntriesLost(offset, first, None, exact=False)  # for all that can be seen
    assert said_at_once_and_once(actor) == (StreamReplaced(offset, first, 0) if counted else trimmed)
    assert scene.offset() == "13-0"


@pytest.mark.since_redis_7
def test_a_stream_begun_anew_that_has_passed_the_offset_is_read_from_its_start(scene: Scene) -> None:
    actor = consumed(scene)
    scene.redis.delete("events")
    for at in ("2-5", "3-5", "9-0"):
        scene.event(at, "game-a", "container_oom")
    scene.append("9-1", "no", "event")
    assert said_at_once_and_once(actor) == StreamReplaced(EntryId(4, 0), EntryId(2, 5), 0)
    assert [commit.offset for commit in scene.applied][-1] == EntryId(9, 1)


@pytest.mark.usefixtures("counted")
def test_the_successor_of_a_removed_stream_is_read_from_its_start_without_another_word(scene: Scene) -> None:
    actor = restarted(scene, consumed(scene))
    scene.redis.delete("events")
    said_at_once_and_once(actor)
    scene.event("2-5", "game-a", "container_oom", 25)
    scene.event("9-0", "game-a", "container_oom", 90)
    assert breaks(actor, steps=4) == []
    assert scene.offset() == "9-0"
    assert scene.snapshots()[-1].occurred_at_ms == 25


@pytest.mark.since_redis_7
def test_what_another_stream_loses_before_it_is_read_is_said(scene: Scene) -> None:
    actor = consumed(scene)
    scene.redis.delete("events")
    for each in range(5, 14):
        scene.event(f"{each}-0", "game-a", "container_oom", each)
    assert breaks(actor, steps=1) == [StreamReplaced(EntryId(4, 0), EntryId(5, 0), 0)]
    scene.redis.xtrim("events", minid="7-0", approximate=False)
    assert said_at_once_and_once(actor) == EntriesLost(START, EntryId(7, 0), 2, exact=True)
    assert scene.offset() == "13-0"


def test_an_offset_that_an_operator_chose_need_not_be_an_entrys(scene: Scene) -> None:
    actor = consumed(scene)
    scene.reset("2-7")
    assert breaks(actor, steps=4) == []
    assert scene.offset() == "4-0"


def test_not_even_for_a_worker_that_starts_after_one_has_followed_it(scene: Scene) -> None:
    actor = consumed(scene)
    told = len(scene.snapshots())
    scene.reset("2-7")
    actor.worker.step()
    actor.worker.step()
    actor.die()
    scene.wait_until_alone()
    assert scene.redis.get(KEYS.record) is not None
    assert breaks(scene.actor(), steps=4) == []
    assert scene.offset() == "4-0"
    assert min(one.occurred_at_ms for one in scene.snapshots()[told:]) == 3


@pytest.mark.parametrize("when", When)
def test_a_break_that_cannot_be_noted_is_noted_and_said_at_the_next_try(scene: Scene, when: When) -> None:
    actor = restarted(scene, consumed(scene))
    scene.redis.delete("events")
    faults = [when]

    def visit(crossing: Crossing) -> None:
        if crossing.name == "ledger.note" and crossing.when in faults:
            faults.clear()
            raise Unavailable("away")

    actor.boundaries.visit = visit
    with pytest.raises(Unavailable):
        actor.worker.step()
    assert scene.redis.exists(KEYS.last_break) == (when is When.AFTER)
    assert said_at_once_and_once(actor) == StreamGone(EntryId(4, 0))
    assert scene.redis.exists(KEYS.last_break) == 1


@pytest.mark.usefixtures("counted")
def test_an_empty_stream_behind_the_offset_is_said_once(scene: Scene) -> None:
    actor = consumed(scene)
    scene.redis.delete("events")
    scene.event("1-0", "game-a", "container_oom")
    scene.redis.xtrim("events", maxlen=0, approximate=False)
    assert said_at_once_and_once(actor) == StreamBehind(EntryId(4, 0), EntryId(1, 0))


def test_entries_that_were_trimmed_before_they_were_read_are_counted_and_said_once(scene: Scene, counted: bool) -> None:
    actor = consumed(scene)
    for at in range(5, 9):
        scene.event(f"{at}-0", "game-a", "container_oom", at)
    scene.redis.xtrim("events", minid="7-0", approximate=False)
    assert said_at_once_and_once(actor) == EntriesLost(
        EntryId(4, 0), EntryId(7, 0), 2 if counted else None, exact=counted
    )
    assert scene.offset() == "8-0"


def test_losing_all_that_was_new_is_said_once(scene: Scene, counted: bool) -> None:
    actor = consumed(scene)
    for at in range(5, 9):
        scene.event(f"{at}-0", "game-a", "container_oom", at)
    scene.redis.xtrim("events", maxlen=0, approximate=False)
    assert said_at_once_and_once(actor) == EntriesLost(EntryId(4, 0), None, 4 if counted else None, exact=counted)


def test_a_worker_that_starts_after_a_loss_says_so_too(scene: Scene, counted: bool) -> None:
    consumed(scene).die()
    for at in range(5, 9):
        scene.event(f"{at}-0", "game-a", "container_oom", at)
    scene.redis.xtrim("events", minid="7-0", approximate=False)
    scene.wait_until_alone()
    lost = 2 if counted else None
    assert breaks(scene.actor(), steps=3) == [EntriesLost(EntryId(4, 0), EntryId(7, 0), lost, exact=counted)]


def test_a_redis_that_has_lost_commits_is_told_what_rows_are_now(scene: Scene) -> None:
    actor = consumed(scene)
    actor.reports.append(Active(EntryId(4, 0)))
    before = everything(scene.redis)
    scene.event("5-0", "game-a", "container_oom", 5)
    actor.rest()
    restore(scene.redis, before)
    actor.rest()
    rolled_back = RolledBack(EntryId(5, 0), EntryId(4, 0))
    assert [report for report in actor.reports if isinstance(report, RolledBack)] == [rolled_back]
    assert unpack_break(scene.redis.get(KEYS.last_break)) == (rolled_back, scene.now_ms)
    assert scene.offset() == "4-0"
    assert shown(scene) == (7, "engine_unreachable", "oom")
    scene.event("4-1", "game-a", "probe_recovered", 6)  # by a clock that is behind
    actor.rest()
    assert scene.snapshots()[-1] == Snapshot("game-a", 7, "running", "healthy", 6)


def test_the_same_where_only_a_batch_in_flight_finds_out(scene: Scene) -> None:
    actor = consumed(scene)
    actor.reports.append(Active(EntryId(4, 0)))
    before = everything(scene.redis)
    scene.event("5-0", "game-a", "container_oom", 5)
    actor.rest()
    scene.event("6-0", "game-a", "inspect_unhealthy", 6)
    actor.boundaries.visit = once_before("ledger.commit", lambda: restore(scene.redis, before))
    actor.rest()
    assert RolledBack(EntryId(5, 0), EntryId(4, 0)) in actor.reports
    assert shown(scene) == (7, "engine_unreachable", "inspect_unhealthy")


def test_a_standby_that_saw_what_redis_lost_says_so_though_its_leader_died_with_it(scene: Scene) -> None:
    leader = consumed(scene)
    before = everything(scene.redis)
    standby = scene.actor()
    scene.event("5-0", "game-a", "container_oom", 5)
    leader.rest()
    standby.worker.step()
    leader.die()
    scene.wait_until_alone_but_for(1)
    restore(scene.redis, before)
    takes_over(standby)
    standby.rest()
    assert RolledBack(EntryId(5, 0), EntryId(4, 0)) in standby.reports
    assert shown(scene) == (7, "engine_unreachable", "oom")


@pytest.mark.parametrize("since", [None, "5-1"], ids=["nothing since", "an entry since"])
def test_a_batch_in_flight_that_a_promoted_redis_never_had_is_no_break(scene: Scene, since: str | None) -> None:
    """It may have been written, and is published then; entries below it that the promoted one has got are read."""
    actor = consumed(scene)
    before = everything(scene.redis)
    scene.event("5-0", "game-a", "container_oom", 5)

    def fail_over() -> None:
        restore(scene.redis, before)
        if since is not None:
            scene.event(since, "game-a", "probe_failed", 6)
        raise Unavailable("both servers are away")

    actor.boundaries.visit = raising_once(fail_over, "rows.write")
    with pytest.raises(Unavailable):
        actor.worker.step()
    assert breaks(actor, steps=4) == []
    assert (scene.offset(), game(scene.pg).status) == (since or "4-0", "engine_unreachable")
    shown = scene.snapshots()[-1]
    assert (shown.runtime_status, shown.engine_health_summary) == (
        "engine_unreachable",
        "probe_failed" if since else "oom",
    )
    actor.die()
    scene.wait_until_alone()
    assert breaks(scene.actor(), steps=4) == []


@pytest.mark.since_redis_7
@pytest.mark.parametrize("count", [0, 4])
def test_a_batch_in_flight_hides_no_other_stream(scene: Scene, count: int) -> None:
    actor = consumed(scene, count)
    scene.event("5-0", "game-a", "container_oom", 5)

    def begin_anew() -> None:
        scene.redis.delete("events")
        scene.event("4-5", "game-a", "probe_failed", 45)
        raise Unavailable("away")

    actor.boundaries.visit = once_before("rows.write", begin_anew)
    with pytest.raises(Unavailable):
        actor.worker.step()
    assert breaks(actor, steps=4) == [StreamReplaced(EntryId(4, 0), EntryId(4, 5), 0)] * (count > 0)
    assert scene.offset() == "4-5"
    assert scene.snapshots()[-1].occurred_at_ms == 45


def test_an_operators_reset_is_no_loss(scene: Scene) -> None:
    actor = consumed(scene)
    scene.reset("2-0")
    actor.worker.step()
    actor.worker.step()
    assert not [report for report in actor.reports if isinstance(report, RolledBack)]
