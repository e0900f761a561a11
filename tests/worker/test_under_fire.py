"""A backlog is consumed while others keep changing the same rows: none of them is overruled (I4, D5)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from random import Random
from threading import Event

import psycopg
import pytest

from gmhealth.core.snapshot import Snapshot
from gmhealth.worker.events import BatchDone
from gmhealth.worker.job import Job
from tests.games import add_game, games
from tests.worker.faulty import Boundaries, Crossing
from tests.worker.history import RECORD_HISTORY, GameMaster, Version, versions
from tests.worker.scene import Actor, Scene

EVENTS = 400
GAMES = 6
OURS = "worker"
SWAPS = {("running", "engine_unreachable"), ("engine_unreachable", "running")}
TYPES = ["container_exited", "probe_recovered", "container_oom", "probe_recovered", "container_started", "probe_failed"]


@pytest.fixture
def backlog(scene: Scene) -> Scene:
    """Events for a few games; an entry's number is its event's time."""
    random = Random(4)
    scene.pg.execute(RECORD_HISTORY)
    for game in range(GAMES):
        add_game(scene.pg, f"game-{game}", turn=game)
    for at in range(1, EVENTS + 1):
        scene.event(f"{at}-0", f"game-{random.randrange(GAMES)}", random.choice(TYPES), at)
    return scene


def consume(scene: Scene, actor: Actor, batch: int) -> None:
    """Consume it all, and compare what was told with the history of the rows."""
    while scene.offset() != f"{EVENTS}-0":
        actor.worker.step()
    found = versions(scene.pg)
    nobody_was_overruled(found)
    tells_what_was(scene.snapshots(), found, actor)


def nobody_was_overruled(found: Sequence[Version]) -> None:
    """Each of our writes keeps the status, or swaps it as the mapping says, from the version right before it."""
    last: dict[str, tuple[str, int]] = {}
    for version in found:
        old = (version.old_status, version.old_turn)
        assert last.get(version.game_id, old) == old
        last[version.game_id] = (version.status, version.turn)
        if version.by == OURS:
            assert version.turn == version.old_turn
            assert version.status == version.old_status or (version.old_status, version.status) in SWAPS


def tells_what_was(told: Sequence[Snapshot], found: Sequence[Version], actor: Actor) -> None:
    """Each snapshot shows the status and turn that its row had.

    The rule: each batch makes one version of each row it names, by one write. All snapshots of a game in a batch show
    the turn of that version; their statuses lead from the status it was made from, by no other steps than the swaps
    of the mapping, to the status it has. With a batch of one this means: each snapshot shows just that version. Our
    versions of a row come in the order of the batches, so the snapshots come in the order of history.
    """
    ours = defaultdict(list)
    for version in found:
        if version.by == OURS:
            ours[version.game_id].append(version)
    snapshots = {snapshot.occurred_at_ms: snapshot for snapshot in told}
    assert list(snapshots) == sorted(snapshots)
    for batch in (report for report in actor.reports if isinstance(report, BatchDone)):
        times = defaultdict(list)
        for step in batch.plan.steps:
            times[step.event.game_id].append(step.event.occurred_at_ms)
        for game_id, of_game in times.items():
            version = ours[game_id].pop(0)
            leads_to(version, [snapshots[at] for at in of_game if at in snapshots])
    assert not any(ours.values())


def leads_to(version: Version, told: Sequence[Snapshot]) -> None:
    """The snapshots of one game in one batch."""
    status = version.old_status
    for snapshot in told:
        assert snapshot.current_turn == version.turn
        assert snapshot.runtime_status == status or (status, snapshot.runtime_status) in SWAPS
        status = snapshot.runtime_status
    assert status == version.status


@pytest.mark.parametrize("batch", [1, 7, 100])
def test_whoever_comes_between_two_calls_is_not_overruled(backlog: Scene, batch: int) -> None:
    master = GameMaster(backlog.pg, seed=batch)

    def visit(_crossing: Crossing) -> None:
        master.move()

    actor = backlog.actor(Boundaries(visit=visit, most=20_000), job=Job(batch_size=batch, block_ms=1))
    consume(backlog, actor, batch)


@pytest.mark.parametrize("batch", [1, 7, 100])
def test_whoever_writes_at_the_same_time_is_not_overruled(backlog: Scene, postgres_dsn: str, batch: int) -> None:
    over, moving = Event(), [Event() for _ in range(3)]

    def fire(seed: int) -> None:
        with psycopg.connect(postgres_dsn, autocommit=True) as pg:
            master = GameMaster(pg, seed)
            while not over.is_set():
                master.move()
                moving[seed].set()

    with ThreadPoolExecutor(len(moving)) as others:
        fires = [others.submit(fire, seed) for seed in range(len(moving))]
        try:
            for started in moving:
                assert started.wait(30)
            consume(backlog, backlog.actor(Boundaries(most=20_000), job=Job(batch_size=batch, block_ms=1)), batch)
        finally:
            over.set()
        for one in fires:
            one.result()


def test_games_that_were_ended_stay_so(backlog: Scene) -> None:
    ended = {"game-1": "stopped", "game-2": "finished"}
    for game_id, status in ended.items():
        backlog.pg.execute("UPDATE runtime_records SET status = %s WHERE game_id = %s", [status, game_id])
    consume(backlog, backlog.actor(Boundaries(most=20_000), job=Job(batch_size=7, block_ms=1)), 7)
    assert {game_id: games(backlog.pg)[game_id].status for game_id in ended} == ended
