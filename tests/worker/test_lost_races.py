"""Another writer comes between load and write: planned again, three times, then it gives way (I4, D2, D3)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gmhealth.core.plan import Outcome
from gmhealth.core.snapshot import Snapshot
from gmhealth.notices import BatchDone
from tests.games import Game, add_game, game
from tests.worker.faulty import Boundaries, Crossing, When
from tests.worker.scene import Actor, Scene

BEGIN = "UPDATE runtime_records SET status = 'generation_in_progress' WHERE game_id = 'game-a'"
END = "UPDATE runtime_records SET status = 'running', current_turn = current_turn + 1 WHERE game_id = 'game-a'"


def racing(scene: Scene, *statements: str) -> Actor:
    """A worker before whose every write another writer gets in, as long as there are statements."""
    left: Iterator[str] = iter(statements)

    def visit(crossing: Crossing) -> None:
        if (crossing.name, crossing.when) == ("rows.write", When.BEFORE) and (statement := next(left, None)):
            scene.pg.execute(statement)

    return scene.actor(Boundaries(visit=visit))


def last_batch(actor: Actor) -> BatchDone:
    """What the last step did."""
    done = actor.notices[-1]
    assert isinstance(done, BatchDone)
    return done


@pytest.mark.parametrize(
    ("races", "after"),
    [
        pytest.param([BEGIN], Game("generation_in_progress", 7, "exited"), id="one"),
        pytest.param([BEGIN, END], Game("engine_unreachable", 8, "exited"), id="two"),
        pytest.param([BEGIN, END, BEGIN], Game("generation_in_progress", 8, "exited"), id="three"),
    ],
)
def test_after_a_lost_race_it_plans_again_from_the_row_as_it_is(scene: Scene, races: list[str], after: Game) -> None:
    add_game(scene.pg)
    scene.event("1-0", "game-a", "container_exited")
    actor = racing(scene, *races)
    actor.worker.step()
    assert game(scene.pg) == after
    assert scene.snapshots() == [Snapshot("game-a", after.current_turn, after.status, "exited", 1000)]
    assert last_batch(actor).lost_races == len(races)


def test_two_races_are_made_up_for_by_guarded_writes_alone(scene: Scene) -> None:
    add_game(scene.pg)
    scene.event("1-0", "game-a", "container_exited")
    actor = racing(scene, BEGIN, END)
    actor.worker.step()
    assert actor.boundaries.names[3:] == ["rows.load", "rows.write"] * 3 + ["ledger.commit"]


def test_after_three_lost_races_only_the_summary_is_written_and_the_row_is_told_as_it_is(scene: Scene) -> None:
    add_game(scene.pg)
    scene.event("1-0", "game-a", "container_exited")
    actor = racing(scene, BEGIN, END, "UPDATE runtime_records SET current_turn = 20 WHERE game_id = 'game-a'")
    actor.worker.step()
    assert actor.boundaries.names[3:] == ["rows.load", "rows.write"] * 3 + ["rows.write_summaries", "ledger.commit"]
    assert game(scene.pg) == Game("running", 20, "exited")  # it would have been swapped, but was not guarded
    assert scene.snapshots() == [Snapshot("game-a", 20, "running", "exited", 1000)]
    assert [step.outcome for step in last_batch(actor).plan.steps] == [Outcome.CONFLICT]


def test_only_the_game_that_lost_is_planned_again_and_order_is_kept(scene: Scene) -> None:
    add_game(scene.pg, "game-a")
    add_game(scene.pg, "game-b", status="engine_unreachable", turn=2)
    scene.event("1-0", "game-a", "container_oom", 1)
    scene.event("2-0", "game-b", "probe_recovered", 2)
    scene.event("3-0", "game-a", "container_started", 3)
    racing(scene, BEGIN).worker.step()
    assert scene.snapshots() == [
        Snapshot("game-a", 7, "generation_in_progress", "oom", 1),
        Snapshot("game-b", 2, "running", "healthy", 2),
        Snapshot("game-a", 7, "generation_in_progress", "healthy", 3),
    ]
    assert game(scene.pg, "game-b") == Game("running", 2, "healthy")


def test_a_stopped_game_is_not_woken_and_its_summary_is_written(scene: Scene) -> None:
    add_game(scene.pg, status="engine_unreachable")
    scene.event("1-0", "game-a", "probe_recovered")
    racing(scene, "UPDATE runtime_records SET status = 'stopped'").worker.step()
    assert game(scene.pg) == Game("stopped", 7, "healthy")


def test_a_row_that_changed_between_two_batches_is_told_as_it_is(scene: Scene) -> None:
    add_game(scene.pg)
    scene.event("1-0", "game-a", "inspect_unhealthy", 1)
    actor = scene.actor()
    actor.rest()
    scene.pg.execute(BEGIN)
    scene.event("2-0", "game-a", "container_exited", 2)
    actor.rest()
    assert game(scene.pg) == Game("generation_in_progress", 7, "exited")
    assert scene.snapshots()[-1] == Snapshot("game-a", 7, "generation_in_progress", "exited", 2)


def test_a_change_seen_only_at_the_write_costs_none_of_the_three_tries(scene: Scene) -> None:
    add_game(scene.pg)
    scene.event("1-0", "game-a", "inspect_unhealthy", 1)
    actor = scene.actor()
    actor.rest()
    scene.event("2-0", "game-a", "container_exited", 2)
    left = iter([BEGIN, END, BEGIN])

    def visit(crossing: Crossing) -> None:
        if (crossing.name, crossing.when) == ("rows.write", When.BEFORE) and (statement := next(left, None)):
            scene.pg.execute(statement)

    actor.boundaries.visit = visit
    actor.rest()
    assert "rows.write_summaries" not in actor.boundaries.names
    assert game(scene.pg) == Game("generation_in_progress", 8, "exited")
