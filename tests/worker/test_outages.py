"""What the worker waits for is said on the other server, and taken back when it goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from gmhealth.core.outage import Outage
from gmhealth.errors import Unavailable, Unusable
from gmhealth.worker.events import Recovered
from tests.worker.faulty import Boundaries, Crossing, When
from tests.worker.scene import Actor, Scene
from tests.worker.test_run import ONCE, Watch


@dataclass
class Told:
    """What one server was told."""

    what: list[Outage | None] = field(default_factory=list)
    error: Exception | None = None

    def __call__(self, outage: Outage | None) -> None:
        self.what.append(outage)
        if self.error is not None:
            raise self.error


@dataclass
class Scenario:
    """A worker whose first reads fail, and what it told."""

    actor: Actor
    redis: Told
    postgres: Told


@pytest.fixture
def failing(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Callable[[list[Unavailable]], Scenario]:
    def make(errors: list[Unavailable]) -> Scenario:
        left = iter(errors)

        def visit(crossing: Crossing) -> None:
            if (crossing.name, crossing.when) == ("stream.read_range", When.BEFORE):
                for error in left:
                    raise error

        found = Scenario(scene.actor(Boundaries(visit=visit), job=ONCE), Told(), Told())
        monkeypatch.setattr(
            "gmhealth.adapters.redis.ledger.RedisLedger.show_outage", lambda _, outage: found.redis(outage)
        )
        monkeypatch.setattr(
            "gmhealth.adapters.postgres.rows.PostgresRows.show_outage", lambda _, out: found.postgres(out)
        )
        return found

    return make


REDIS = Unavailable("Redis could not: OOM", server="Redis", cause="OOM")
POSTGRES = Unavailable("PostgreSQL could not: deadlock", server="PostgreSQL", cause="DeadlockDetected")
SINCE_S = 1_790_000_000


def test_each_outage_is_told_to_the_other_server_and_taken_back_at_the_end(
    failing: Callable[[list[Unavailable]], Scenario],
) -> None:
    found = failing([REDIS, REDIS, POSTGRES])
    found.actor.worker.run(Watch(patience=99))
    assert Recovered(3) in found.actor.reports
    assert found.postgres.what == [*(Outage("Redis", "OOM", SINCE_S, tries, str(REDIS)) for tries in (1, 2)), None]
    assert found.redis.what == [Outage("PostgreSQL", "DeadlockDetected", SINCE_S, 3, str(POSTGRES)), None]


def test_what_is_neither_servers_fault_is_told_to_none(failing: Callable[[list[Unavailable]], Scenario]) -> None:
    found = failing([Unavailable("somebody holds the lock")])
    found.actor.worker.run(Watch(patience=99))
    assert (found.redis.what, found.postgres.what) == ([], [])


@pytest.mark.parametrize("error", [Unavailable("this one is away as well"), Unusable("no permission")])
def test_a_server_that_cannot_be_told_is_no_matter(
    failing: Callable[[list[Unavailable]], Scenario], error: Exception
) -> None:
    found = failing([POSTGRES])
    found.redis.error = error
    found.actor.worker.run(Watch(patience=99))
    assert found.actor.worker.done
