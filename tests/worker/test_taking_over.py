"""A worker died with a batch written and not told, and an operator went past it: who takes over tells (I3, I6)."""

from __future__ import annotations

from contextlib import suppress

import pytest

from gmhealth.adapters.redis_ledger import RedisLedger
from gmhealth.core.entry import EntryId
from gmhealth.core.snapshot import Snapshot
from gmhealth.errors import Unavailable
from gmhealth.worker import loop as worker
from gmhealth.worker import reader
from gmhealth.worker.events import RolledBack
from gmhealth.worker.job import Job
from gmhealth.worker.ports import Saved
from tests.games import add_game
from tests.ledger_keys import KEYS
from tests.streams import everything, restore
from tests.worker.faulty import Boundaries, Crash, Crossing, Fault, When, once_before, raising
from tests.worker.scene import Actor, Scene

UNREPORTED = Snapshot("game-a", 7, "engine_unreachable", "oom", 1)
ONE_BY_ONE = Job(batch_size=1, block_ms=1)


@pytest.fixture
def orphaned(scene: Scene) -> Scene:
    """The row is written, nothing is told, and nobody is left who knows."""
    add_game(scene.pg)
    scene.event("1-0", "game-a", "container_oom", 1)
    scene.event("2-0", "game-x", "container_started", 2)
    dead = scene.actor(Boundaries(Fault(4, When.AFTER, crash=True)))
    with pytest.raises(Crash):
        dead.worker.step()
    assert dead.boundaries.names[-1] == "rows.write"
    dead.die()
    scene.wait_until_alone()
    return scene


def at_rest_in_spite_of_failures(actor: Actor) -> None:
    """Step on until there is nothing to do."""
    while not actor.at_rest():
        with suppress(Unavailable):
            actor.worker.step()


@pytest.mark.parametrize("at", range(1, 5))
def test_whenever_the_offset_is_moved_past_it(orphaned: Scene, at: int) -> None:
    def visit(crossing: Crossing) -> None:
        if crossing[::2] == (at, When.BEFORE):
            orphaned.reset("2-0")

    orphaned.actor(Boundaries(visit=visit)).rest()
    assert orphaned.snapshots() == [UNREPORTED]


@pytest.mark.parametrize("when", When)
@pytest.mark.parametrize("at", range(1, 8))
def test_whatever_fails_as_it_takes_over(orphaned: Scene, at: int, when: When) -> None:
    orphaned.reset("2-0")
    at_rest_in_spite_of_failures(orphaned.actor(Boundaries(Fault(at, when, crash=False))))
    assert orphaned.snapshots() == [UNREPORTED]


@pytest.mark.parametrize("at", range(3, 8))
def test_whatever_fails_as_it_follows(orphaned: Scene, at: int) -> None:
    def visit(crossing: Crossing) -> None:
        if crossing[::2] == (3, When.BEFORE):
            assert crossing.name == "stream.read"
            orphaned.reset("2-0")

    at_rest_in_spite_of_failures(orphaned.actor(Boundaries(Fault(at, When.BEFORE, crash=False), visit)))
    assert orphaned.snapshots() == [UNREPORTED]


def test_it_looks_at_no_more_than_any_batch_has(orphaned: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "MOST_ENTRIES", 2)
    add_game(orphaned.pg, "game-b", health="oom")
    orphaned.event("3-0", "game-b", "container_oom", 3)
    orphaned.reset("3-0")
    orphaned.actor().rest()
    assert orphaned.snapshots() == [UNREPORTED]


def test_the_dead_ones_batch_may_have_been_larger_than_ours(scene: Scene) -> None:
    for number in range(1, 10):
        scene.event(f"{number}-0", "game-x", "probe_failed", 1)
    add_game(scene.pg)
    scene.event("10-0", "game-a", "container_oom", 1)
    dead = scene.actor(Boundaries(visit=raising(Crash(), "ledger.commit", When.BEFORE)), job=Job(block_ms=1))
    with pytest.raises(Crash):
        dead.worker.step()
    dead.die()
    scene.wait_until_alone()
    scene.reset("10-0")
    scene.actor(job=ONE_BY_ONE).rest()
    assert scene.snapshots() == [UNREPORTED]


@pytest.mark.parametrize("told", [True, False], ids=["told", "still in hand"])
def test_redis_may_lose_what_the_dead_one_wrote_about(scene: Scene, told: bool) -> None:
    """Then only who takes over knows of it, though the status was not its own doing (I3)."""
    add_game(scene.pg)
    scene.event("1-0", "game-a", "inspect_unhealthy", 0)
    dead = scene.actor(job=ONE_BY_ONE)
    dead.rest()
    before = everything(scene.redis)
    scene.event("2-0", "game-x", "container_started", 2)
    dead.rest()
    scene.event("3-0", "game-a", "container_oom", 1)
    dead.boundaries.visit = raising(Crash(), "ledger.commit", When.BEFORE)
    with pytest.raises(Crash):
        dead.worker.step()
    dead.die()
    scene.wait_until_alone()
    heir = scene.actor(job=ONE_BY_ONE)
    if told:
        heir.rest()
        assert scene.snapshots()[1:] == [UNREPORTED]
        restore(scene.redis, before)
    else:
        heir.boundaries.visit = once_before("ledger.commit", lambda: restore(scene.redis, before))
    heir.rest()
    assert scene.snapshots()[1:] == [UNREPORTED]
    assert [notice.owed for notice in heir.notices if isinstance(notice, RolledBack)] == [1]


def test_past_the_dead_ones_batch_a_status_is_its_own_doing_or_nobodys(
    orphaned: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No worker can have died in the middle of what is read later: nothing of it is told again for that."""
    monkeypatch.setattr(worker, "MOST_ENTRIES", 2)
    add_game(orphaned.pg, "game-b", status="engine_unreachable")
    orphaned.event("3-0", "game-b", "container_oom", 3)
    heir = orphaned.actor(job=ONE_BY_ONE)
    before = everything(orphaned.redis)
    heir.rest()
    restore(orphaned.redis, before)
    orphaned.redis.delete("events")
    heir.rest()
    assert orphaned.snapshots() == [UNREPORTED]


def test_it_looks_at_large_entries_in_pages(orphaned: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "BATCH_BYTES", 20_000)
    for at in range(3, 203):
        orphaned.append(f"{at}-0", "filler", "x" * 1000)
    add_game(orphaned.pg, "game-b")
    orphaned.event("203-0", "game-b", "container_oom", 3)
    orphaned.pg.execute("UPDATE runtime_records SET engine_health = 'oom'")
    orphaned.reset("203-0")
    actor = orphaned.actor(job=Job(batch_size=5000, block_ms=1))
    actor.rest()
    assert [snapshot.game_id for snapshot in orphaned.snapshots()] == ["game-a", "game-b"]
    assert actor.boundaries.names.count("stream.read_range") > 5


def test_a_game_that_nobody_ever_wrote_is_not_told(scene: Scene) -> None:
    """The first start after `offset reset --to-end`: its rows have no summary, and Lobby's contract wants one."""
    add_game(scene.pg)
    scene.event("1-0", "game-a", "container_oom", 1)
    scene.reset("1-0")
    scene.actor().rest()
    assert scene.snapshots() == []


def test_after_a_move_back_there_is_nothing_that_was_skipped(scene: Scene) -> None:
    add_game(scene.pg)
    scene.event("1-0", "game-a", "container_oom", 1)
    first = scene.actor()
    first.rest()
    first.die()
    scene.wait_until_alone()
    scene.reset("0-0")
    scene.actor().rest()
    assert scene.snapshots() == [UNREPORTED] * 2  # by reading it again, and no third time


def test_a_commit_that_was_held_up_does_not_apply_once_the_offset_has_come_back(scene: Scene) -> None:
    add_game(scene.pg)
    scene.event("1-0", "game-a", "inspect_unhealthy", 1)
    scene.event("2-0", "game-a", "container_oom", 2)
    actor = scene.actor(job=ONE_BY_ONE)
    actor.rest()
    held_up = scene.applied[-1]
    assert (held_up.offset, held_up.fence) == (EntryId(2, 0), Saved("1-0", "worker 1#1", EntryId(1, 0)))
    scene.reset("0-0")
    while scene.offset() != "1-0":
        actor.worker.step()
    told = scene.snapshots()
    assert RedisLedger(actor.client, KEYS, dead_letter_limit=10).commit(held_up) is not None
    assert (scene.snapshots(), scene.offset()) == (told, "1-0")
