"""Turn generation never waits for this process: no row stays locked while a client is waited for (I4)."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import Any

import psycopg
import pytest
from psycopg.pq import TransactionStatus

from gmhealth.adapters.postgres import connection as postgres_connection
from gmhealth.adapters.postgres.connection import Connection
from tests.eventually import eventually
from tests.games import add_game, game
from tests.worker import short_incident as incident
from tests.worker.faulty import Boundaries, Crossing, When
from tests.worker.player import play
from tests.worker.scene import Scene


class OneStatement(Connection):
    """A connection on which no round trip may end inside a transaction."""

    def execute(self, *args: Any, **options: Any) -> Any:
        cursor = super().execute(*args, **options)
        assert self.info.transaction_status is TransactionStatus.IDLE
        return cursor


def test_a_worker_that_freezes_between_any_two_calls_holds_no_row(scene: Scene) -> None:
    crossings: list[Crossing] = []

    def visit(crossing: Crossing) -> None:
        # Not NOWAIT: it reads ahead while the server is still at a statement, which ends whatever becomes of us.
        scene.pg.execute("SELECT 1 FROM runtime_records FOR UPDATE")
        crossings.append(crossing)

    scene.pg.execute("SET lock_timeout = '20s'")
    incident.record(scene)
    play(scene, Boundaries(visit=visit))
    assert {"rows.write"} <= {crossing.name for crossing in crossings}


def test_no_statement_leaves_a_transaction_open(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_connection, "Connection", OneStatement)
    incident.record(scene)
    play(scene, Boundaries())
    assert scene.offset() == incident.entry_id(incident.LAST)


def blockers(scene: Scene, application: str) -> set[str]:
    """Whom this session waits for."""
    found = scene.pg.execute(
        """
        SELECT blocker.application_name
          FROM pg_stat_activity AS waiting, unnest(pg_blocking_pids(waiting.pid)) AS pid
          JOIN pg_stat_activity AS blocker USING (pid)
         WHERE waiting.application_name = %s AND waiting.datname = current_database()
        """,
        [application],
    )
    return {row[0] for row in found}


def states_of_blockers(scene: Scene, application: str) -> set[tuple[str, str]]:
    """Name and state of the very sessions that this one waits for, at one moment."""
    rows = scene.pg.execute(
        """
        SELECT blocker.application_name, blocker.state
          FROM pg_stat_activity AS waiting
          JOIN pg_stat_activity AS blocker ON blocker.pid = ANY (pg_blocking_pids(waiting.pid))
         WHERE waiting.application_name = %s AND waiting.datname = current_database()
        """,
        [application],
    )
    return set(rows.fetchall())


@contextmanager
def holding(dsn: str, game_id: str) -> Iterator[None]:
    """Somebody holds a row, who is in no hurry."""
    with psycopg.connect(dsn, application_name="holder") as connection:
        connection.execute("SELECT 1 FROM runtime_records WHERE game_id = %s FOR UPDATE", [game_id])
        yield


def test_who_waits_for_us_waits_for_one_statement_and_not_for_our_process(scene: Scene, postgres_dsn: str) -> None:
    for game_id in ("game-a", "game-b"):
        add_game(scene.pg, game_id)
    scene.event("1-0", "game-a", "container_oom")
    scene.event("2-0", "game-b", "container_oom")
    frozen = Event()

    def freeze(crossing: Crossing) -> None:
        if (crossing.name, crossing.when) == ("rows.write", When.AFTER):
            assert frozen.wait(60)

    def generate() -> None:
        with psycopg.connect(postgres_dsn, autocommit=True, application_name="generation") as connection:
            connection.execute("UPDATE runtime_records SET current_turn = 8 WHERE game_id = 'game-a'")

    actor = scene.actor(Boundaries(visit=freeze))
    with ThreadPoolExecutor(2) as threads:
        try:
            with holding(postgres_dsn, "game-b"):
                step = threads.submit(actor.worker.step)
                eventually(lambda: blockers(scene, "worker") == {"holder"})  # it has game-a, and waits for game-b
                generation = threads.submit(generate)
                eventually(lambda: states_of_blockers(scene, "generation") == {("worker", "active")})
            generation.result(60)  # our process stands still, right after its statement
            assert not step.done()
        finally:
            frozen.set()
        step.result(60)
    assert game(scene.pg, "game-a") == ("engine_unreachable", 8, "oom")
