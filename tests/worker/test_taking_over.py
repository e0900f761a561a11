"""A worker died with a batch written and not published: who takes over publishes it, whatever happens (I3, I6)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest

from gmhealth.adapters.redis.ledger import RedisLedger
from gmhealth.core.entry import EntryId
from gmhealth.core.snapshot import Snapshot
from gmhealth.errors import Unavailable
from gmhealth.worker.job import Job
from tests.games import add_game, game
from tests.ledger_keys import KEYS
from tests.streams import everything, restore
from tests.worker.faulty import Boundaries, Crash, Crossing, Fault, When, raising
from tests.worker.scene import Actor, Scene

ONE_BY_ONE = Job(batch_size=1, block_ms=1)


@pytest.fixture
def orphaned(scene: Scene) -> Scene:
    """The row is written, nothing is published, and nobody is left who knows."""
    add_game(scene.pg)
    scene.event("1-0", "game-a", "container_oom", 1)
    scene.event("2-0", "game-x", "container_started", 2)
    dead = scene.actor(Boundaries(visit=raising(Crash(), "rows.write", When.AFTER)))
    with pytest.raises(Crash):
        dead.worker.step()
    dead.die()
    scene.wait_until_alone()
    return scene


def shown(scene: Scene) -> list[tuple[str, str, str]]:
    """Game, status and summary of each snapshot."""
    return [(one.game_id, one.runtime_status, one.engine_health_summary) for one in scene.snapshots()]


UNREPORTED = ("game-a", "engine_unreachable", "oom")
TROUBLES: dict[str, Callable[[Scene], object]] = {
    "reset past it": lambda scene: scene.reset("2-0"),
    "trimmed": lambda scene: scene.redis.xtrim("events", maxlen=0, approximate=False),
    "deleted": lambda scene: scene.redis.delete("events"),
}


def at_rest(actor: Actor) -> None:
    """Step on in spite of failures."""
    while not actor.at_rest():
        with suppress(Unavailable):
            actor.worker.step()


@pytest.mark.parametrize("trouble", TROUBLES)
def test_whatever_becomes_of_its_entries(orphaned: Scene, trouble: str) -> None:
    TROUBLES[trouble](orphaned)
    orphaned.actor().rest()
    assert shown(orphaned) == [UNREPORTED]


def test_the_snapshot_without_an_event_has_the_rows_own_time(orphaned: Scene) -> None:
    orphaned.reset("2-0")
    orphaned.actor().rest()
    row = orphaned.pg.execute("SELECT floor(extract(epoch FROM updated_at) * 1000)::bigint FROM runtime_records")
    assert orphaned.snapshots() == [Snapshot("game-a", 7, "engine_unreachable", "oom", next(row)[0])]


@pytest.mark.parametrize("at", range(1, 12))
def test_whenever_the_offset_is_moved_past_it(orphaned: Scene, at: int) -> None:
    def visit(crossing: Crossing) -> None:
        if crossing[::2] == (at, When.BEFORE):
            orphaned.reset("2-0")

    orphaned.actor(Boundaries(visit=visit)).rest()
    assert set(shown(orphaned)) == {UNREPORTED}


@pytest.mark.parametrize("when", When)
@pytest.mark.parametrize("at", range(1, 12))
def test_whatever_fails_as_it_takes_over(orphaned: Scene, at: int, when: When) -> None:
    orphaned.reset("2-0")
    actor = orphaned.actor(Boundaries(Fault(at, when, crash=False)))
    at_rest(actor)
    assert shown(orphaned) == [UNREPORTED]


def test_redis_may_lose_what_the_dead_one_read(scene: Scene) -> None:
    add_game(scene.pg)
    dead = scene.actor(job=ONE_BY_ONE)
    scene.event("1-0", "game-a", "inspect_unhealthy", 1)
    dead.rest()
    before = everything(scene.redis)
    scene.event("2-0", "game-a", "container_oom", 2)
    dead.boundaries.visit = raising(Crash(), "ledger.commit", When.BEFORE)
    with pytest.raises(Crash):
        dead.worker.step()
    dead.die()
    scene.wait_until_alone()
    restore(scene.redis, before)
    heir = scene.actor(job=ONE_BY_ONE)
    heir.rest()
    assert shown(scene)[1:] == [UNREPORTED]
    restore(scene.redis, before)  # and once more, what the heir has published
    heir.rest()
    assert shown(scene)[1:] == [UNREPORTED]


def test_a_game_that_nobody_ever_wrote_is_not_published(scene: Scene) -> None:
    """The first start after `offset reset --to-end`: its rows have no summary, and Lobby's contract wants one."""
    add_game(scene.pg)
    scene.event("1-0", "game-a", "container_oom", 1)
    scene.reset("1-0")
    scene.actor().rest()
    assert scene.snapshots() == []


def test_rows_that_others_change_before_the_first_start_are_none_of_its_business(scene: Scene) -> None:
    add_game(scene.pg, health="oom")
    scene.reset("7-0")
    scene.actor().rest()
    assert scene.snapshots() == []


def test_what_another_writer_changed_meanwhile_is_published_as_it_is(orphaned: Scene) -> None:
    orphaned.pg.execute("UPDATE runtime_records SET status = 'stopped', updated_at = clock_timestamp()")
    orphaned.reset("2-0")
    orphaned.actor().rest()
    assert shown(orphaned) == [("game-a", "stopped", "oom")]


def test_thousands_of_rows_are_published_in_slices_and_a_fault_between_two_repeats_none(scene: Scene) -> None:
    for number in range(1, 1302):
        add_game(scene.pg, f"game-{number:04}")
        scene.event(f"{number}-0", f"game-{number:04}", "container_oom", number)
    dead = scene.actor(Boundaries(visit=raising(Crash(), "rows.write", When.AFTER)), job=Job(block_ms=1))
    with suppress(Crash):
        dead.rest()
    dead.die()
    scene.wait_until_alone()
    written = scene.pg.execute("SELECT count(*) FROM runtime_records WHERE engine_health = 'oom'").fetchone()
    assert written is not None
    scene.reset("1301-0")
    actor = scene.actor()
    actor.rest()
    assert len(scene.snapshots()) == written[0]
    assert max(len(commit.snapshots) for commit in scene.applied) <= 500


def test_a_commit_that_is_late_does_not_apply_once_the_offset_has_come_back(scene: Scene) -> None:
    add_game(scene.pg)
    scene.event("1-0", "game-a", "inspect_unhealthy", 1)
    scene.event("2-0", "game-a", "container_oom", 2)
    actor = scene.actor(job=ONE_BY_ONE)
    actor.rest()
    late = next(commit for commit in scene.applied if commit.offset == EntryId(2, 0))
    scene.reset("1-0")
    for _ in range(3):
        actor.worker.step()
    before = scene.snapshots()
    scene.reset("1-0")
    assert RedisLedger(actor.client, KEYS, dead_letter_limit=10).commit(late) is not None
    assert (scene.snapshots(), scene.offset()) == (before, "1-0")


def test_a_redis_that_refuses_for_a_while_has_each_batch_written_once_a_try(scene: Scene) -> None:
    add_game(scene.pg)
    scene.event("1-0", "game-a", "container_oom", 1)
    refusals = [1] * 5

    def visit(crossing: Crossing) -> None:
        wrote = "rows.write" in actor.boundaries.names
        if wrote and refusals and (crossing.name, crossing.when) == ("ledger.commit", When.BEFORE):
            refusals.pop()
            raise Unavailable("OOM")

    actor = scene.actor()
    actor.boundaries.visit = visit
    at_rest(actor)
    assert actor.boundaries.names.count("rows.write") == 2, "settling comes first, and waits"
    assert game(scene.pg).status == "engine_unreachable"
