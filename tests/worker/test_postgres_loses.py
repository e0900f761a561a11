"""PostgreSQL is promoted or restarted, with or without the last commits: what rows lack is written again (I1, I10)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from gmhealth.adapters.postgres.rows import PostgresRows
from gmhealth.core.entry import EntryId
from gmhealth.core.plan import NetEffect
from gmhealth.core.snapshot import Snapshot
from gmhealth.errors import Unavailable, Unusable
from gmhealth.worker.events import Active, Settled
from gmhealth.worker.job import Job
from gmhealth.worker.ports import Meanwhile, Wrote, nothing
from tests.games import Game, add_game, game, games
from tests.ledger_keys import KEYS
from tests.worker.faulty import Crash, When, raising
from tests.worker.scene import Actor, Scene, takes_over

ONE_BY_ONE = Job(batch_size=1, block_ms=1)
KEEP = "DROP TABLE IF EXISTS kept; CREATE TABLE kept AS TABLE runtime_records"
PUT_BACK = "DELETE FROM runtime_records; INSERT INTO runtime_records SELECT * FROM kept"


def shown(scene: Scene) -> list[tuple[str, str, str]]:
    """Game, status and summary of each snapshot."""
    return [(one.game_id, one.runtime_status, one.engine_health_summary) for one in scene.snapshots()]


@pytest.fixture
def consumed(scene: Scene) -> Actor:
    """A leader at rest; since `kept` was made, it has moved `game-a` to and fro and written `game-b`."""
    for game_id in ("game-a", "game-b", "game-c"):
        add_game(scene.pg, game_id)
    scene.event("1-0", "game-c", "inspect_unhealthy", 1)
    actor = scene.actor(job=ONE_BY_ONE)
    actor.rest()
    scene.pg.execute(KEEP)
    for number, (game_id, kind) in enumerate(
        [("game-a", "container_oom"), ("game-b", "probe_failed"), ("game-a", "probe_recovered")], start=2
    ):
        scene.event(f"{number}-0", game_id, kind, number)
    actor.rest()
    return actor


def promote(scene: Scene, actor: Actor, *, losing: bool) -> None:
    """Another server takes over."""
    actor.rows.close()
    scene.wait_until_alone()
    if losing:
        scene.pg.execute(PUT_BACK)
    scene.promotions += 1


def test_a_switchover_without_loss_changes_and_publishes_nothing(scene: Scene, consumed: Actor) -> None:
    before, rows = scene.snapshots(), scene.pg.execute("TABLE runtime_records").fetchall()
    for _ in range(3):
        promote(scene, consumed, losing=False)
        consumed.rest()
    assert scene.snapshots() == before
    assert scene.pg.execute("TABLE runtime_records").fetchall() == rows


def test_what_the_rows_lack_is_written_and_published_again_and_nothing_else(scene: Scene, consumed: Actor) -> None:
    before, rows = len(scene.snapshots()), games(scene.pg)
    kept = scene.pg.execute("SELECT updated_at FROM runtime_records WHERE game_id = 'game-c'").fetchone()
    promote(scene, consumed, losing=True)
    consumed.rest()
    assert games(scene.pg) == rows
    assert sorted(shown(scene)[before:]) == [("game-a", "running", "healthy"), ("game-b", "running", "probe_failed")]
    assert scene.pg.execute("SELECT updated_at FROM runtime_records WHERE game_id = 'game-c'").fetchone() == kept
    assert [each for each in consumed.reports if isinstance(each, Settled)][-1] == Settled(EntryId(4, 0), 2, 2)


def test_what_is_too_much_to_write_again_at_once_is_tried_in_halves(
    scene: Scene, consumed: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, sizes = PostgresRows.write, list[int]()

    def failing(self: PostgresRows, effects: Sequence[NetEffect], since: str, meanwhile: Meanwhile = nothing) -> Wrote:
        sizes.append(len(effects))
        if len(effects) > 1:
            raise Unavailable("canceling statement due to statement timeout", by_size=True)
        return write(self, effects, since, meanwhile)

    rows = games(scene.pg)
    promote(scene, consumed, losing=True)
    monkeypatch.setattr(PostgresRows, "write", failing)
    with pytest.raises(Unavailable):
        consumed.rest()
    consumed.rest()
    assert games(scene.pg) == rows
    assert sizes == [2, 1, 1]


def test_who_starts_after_it_writes_it_again_as_well(scene: Scene, consumed: Actor) -> None:
    rows = games(scene.pg)
    consumed.die()
    promote(scene, consumed, losing=True)
    heir = scene.actor()
    takes_over(heir)
    heir.rest()
    assert games(scene.pg) == rows


def test_a_status_that_another_writer_changed_since_stays(scene: Scene, consumed: Actor) -> None:
    promote(scene, consumed, losing=True)
    scene.pg.execute(
        "UPDATE runtime_records SET status = 'generation_in_progress', updated_at = clock_timestamp()"
        " WHERE game_id = 'game-a'"
    )
    scene.pg.execute("UPDATE runtime_records SET engine_health = 'oom' WHERE game_id = 'game-a'")
    consumed.rest()
    assert game(scene.pg, "game-a") == Game("generation_in_progress", 7, "healthy")


@pytest.mark.parametrize("reset", [None, "5-0"], ids=["as it was", "set forward"])
def test_rows_that_a_batch_in_flight_wrote_are_not_taken_for_lost(
    scene: Scene, consumed: Actor, reset: str | None
) -> None:
    """All is killed between write and commit, and nothing is lost: the journal's older write is not done again."""
    scene.event("5-0", "game-a", "container_oom", 5)
    consumed.boundaries.visit = raising(Crash(), "ledger.commit", When.BEFORE)
    with pytest.raises(Crash):
        consumed.worker.step()
    consumed.die()
    promote(scene, consumed, losing=False)
    if reset is not None:
        scene.reset(reset)
    heir = scene.actor(job=ONE_BY_ONE)
    heir.rest()
    assert [each.repaired for each in heir.reports if isinstance(each, Settled)] == [0]
    assert game(scene.pg, "game-a") == Game("engine_unreachable", 7, "oom")
    assert {each for each in shown(scene)[4:] if each[0] == "game-a"} == {("game-a", "engine_unreachable", "oom")}


@pytest.mark.parametrize("lost_before", [False, True], ids=["never committed", "lost before, a minute ago"])
def test_a_status_that_an_earlier_write_moved_is_moved_again(scene: Scene, *, lost_before: bool) -> None:
    """The last write is not the one that moved the row, and of what was written until then nothing is left on Redis."""
    add_game(scene.pg)
    scene.event("1-0", "game-a", "container_started", 1)
    actor = scene.actor()
    actor.rest()
    scene.redis.delete(KEYS.writes)
    scene.pg.execute(KEEP)
    scene.event("2-0", "game-a", "container_oom", 2)
    scene.event("3-0", "game-a", "container_started", 3)
    if lost_before:
        actor.rest()
        promote(scene, actor, losing=True)
        actor.rest()
        scene.redis.xtrim(KEYS.writes, maxlen=1, approximate=False)
    else:
        actor.boundaries.visit = raising(Unavailable("made to fail"), "ledger.commit", When.BEFORE)
        with pytest.raises(Unavailable):
            actor.worker.step()
        actor.rest()
    assert game(scene.pg) == Game("engine_unreachable", 7, "healthy")
    promote(scene, actor, losing=True)
    actor.rest()
    assert game(scene.pg) == Game("engine_unreachable", 7, "healthy")


def test_hours_after_the_last_event_an_oom_that_met_a_running_turn_stays_what_it_was(scene: Scene) -> None:
    add_game(scene.pg, status="generation_in_progress")
    scene.event("1-0", "game-a", "container_oom", 1)
    actor = scene.actor()
    actor.rest()
    scene.pg.execute("UPDATE runtime_records SET status = 'running', updated_at = clock_timestamp()")
    scene.seconds += 3600
    actor.rest()
    before = scene.snapshots()
    promote(scene, actor, losing=False)
    actor.rest()
    assert game(scene.pg) == Game("running", 7, "oom")
    assert scene.snapshots() == before == [Snapshot("game-a", 7, "generation_in_progress", "oom", 1)]


def test_an_old_primary_is_left_alone(scene: Scene, consumed: Actor) -> None:
    promote(scene, consumed, losing=False)
    consumed.rest()
    consumed.die()
    scene.wait_until_alone()
    before = scene.redis.get(KEYS.record)
    scene.promotions = 0
    late = scene.actor()
    scene.event("9-0", "game-a", "container_oom", 9)
    for _ in range(3):
        late.worker.step()
    assert not [report for report in late.reports if isinstance(report, Active)]
    assert "old primary" in str(late.reports[0])
    assert scene.redis.get(KEYS.record) == before
    assert game(scene.pg, "game-a").status == "running"
    late.die()
    scene.wait_until_alone()
    with pytest.raises(Unavailable, match="old primary"):
        scene.actor(job=replace(ONE_BY_ONE, until=EntryId(9, 0))).worker.step()


def test_another_cluster_is_refused_with_what_to_do(scene: Scene, consumed: Actor) -> None:
    consumed.die()
    scene.wait_until_alone()
    packed = scene.redis.get(KEYS.record)
    assert packed is not None
    scene.redis.set(KEYS.record, packed.replace(b'"system":"', b'"system":"9'))
    before = scene.redis.get(KEYS.record)
    with pytest.raises(Unusable, match="another cluster") as refused:
        scene.actor().worker.step()
    assert "delete the commit record" in refused.value.hint
    assert scene.redis.get(KEYS.record) == before
