"""Another writer changes rows between our read and our write: what the write finds is what counts (I4, D2, D3, D5)."""

from __future__ import annotations

import pytest

from gmhealth.core.plan import Outcome
from gmhealth.core.snapshot import Snapshot
from gmhealth.worker.events import BatchDone
from tests.games import Game, add_game, game
from tests.worker.faulty import Boundaries, once_before
from tests.worker.scene import Actor, Scene

BEGIN = "UPDATE runtime_records SET status = 'generation_in_progress' WHERE game_id = 'game-a'"
TURN = "UPDATE runtime_records SET current_turn = current_turn + 1 WHERE game_id = 'game-a'"


def racing(scene: Scene, statement: str) -> Actor:
    """A worker before whose first write another writer gets in."""
    return scene.actor(Boundaries(visit=once_before("rows.write", lambda: scene.pg.execute(statement.encode()))))


def outcomes(actor: Actor) -> list[Outcome]:
    """What the last step did."""
    done = actor.reports[-1]
    assert isinstance(done, BatchDone)
    return [step.outcome for step in done.plan.steps]


@pytest.mark.parametrize(
    ("statement", "outcome", "after"),
    [
        pytest.param(BEGIN, Outcome.CONFLICT, Game("generation_in_progress", 7, "exited"), id="a turn begins"),
        pytest.param(TURN, Outcome.SWAPPED, Game("engine_unreachable", 8, "exited"), id="the turn moves"),
    ],
)
def test_the_row_is_written_and_told_as_the_write_finds_it(
    scene: Scene, statement: str, outcome: Outcome, after: Game
) -> None:
    add_game(scene.pg)
    scene.event("1-0", "game-a", "container_exited")
    actor = racing(scene, statement)
    actor.worker.step()
    assert game(scene.pg) == after
    assert scene.snapshots() == [Snapshot("game-a", after.current_turn, after.status, "exited", 1000)]
    assert outcomes(actor) == [outcome]


def test_a_batch_is_one_write_and_one_commit_whoever_comes_between(scene: Scene) -> None:
    add_game(scene.pg)
    scene.event("1-0", "game-a", "container_exited")
    actor = racing(scene, BEGIN)
    actor.worker.step()
    assert actor.boundaries.names[-2:] == ["rows.write", "ledger.commit"]
    assert actor.boundaries.names.count("rows.write") == 1
    assert "rows.load" not in actor.boundaries.names


def test_other_games_are_not_touched_by_it_and_order_is_kept(scene: Scene) -> None:
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


def test_what_a_trigger_makes_of_the_row_is_what_lobby_sees(scene: Scene) -> None:
    add_game(scene.pg)
    scene.pg.execute(
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN NEW.status := OLD.status; RETURN NEW; END $$;"
        " CREATE TRIGGER keep BEFORE UPDATE ON runtime_records FOR EACH ROW EXECUTE FUNCTION keep()"
    )
    scene.event("1-0", "game-a", "container_oom")
    scene.actor().rest()
    assert scene.snapshots() == [Snapshot("game-a", 7, "running", "oom", 1000)]
