"""The loop around the steps: waiting out failures without losing the session, and ending when asked to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from gmhealth.core.entry import EntryId
from gmhealth.errors import Refused, Unavailable
from gmhealth.worker.events import Idle, Recovered, Standby, Waiting
from gmhealth.worker.loop import KEEP_ALIVE_S
from gmhealth.worker.outages import Backoff
from tests.games import add_game
from tests.worker.faulty import Boundaries, Crossing, When
from tests.worker.scene import QUICK, Actor, Scene

ONCE = replace(QUICK, until=EntryId(9, 0))


@dataclass
class Watch:
    """A stop request that comes after so many waits; no time passes."""

    patience: int
    waits: list[float] = field(default_factory=list)

    def is_set(self) -> bool:
        return len(self.waits) >= self.patience

    def wait(self, timeout: float) -> bool:
        self.waits.append(timeout)
        return self.is_set()


def failing(times: int, name: str = "stream.read") -> Callable[[Crossing], None]:
    """Let the first calls of this name fail."""
    left = iter(range(times))

    def visit(crossing: Crossing) -> None:
        if (crossing.name, crossing.when) == (name, When.BEFORE) and next(left, None) is not None:
            raise Unavailable("the server is away")

    return visit


def waits(actor: Actor) -> list[Waiting]:
    """What was said of waiting."""
    return [report for report in actor.reports if isinstance(report, Waiting)]


def test_it_waits_longer_each_time_and_says_when_it_goes_on(scene: Scene) -> None:
    add_game(scene.pg)
    scene.event("9-0", "game-a", "container_oom")
    actor = scene.actor(Boundaries(visit=failing(3, "stream.read_range")), job=ONCE)
    watch = Watch(patience=99)
    actor.worker.run(watch)
    assert [waiting.attempt for waiting in waits(actor)] == [1, 2, 3]
    assert [waiting.seconds for waiting in waits(actor)] == [0.1, 0.2, 0.4]
    assert watch.waits == [0.1, 0.2, 0.4]
    assert Recovered(3) in actor.reports
    assert scene.offset() == "9-0"


def test_the_waits_begin_small_again_after_it_went_on(scene: Scene) -> None:
    add_game(scene.pg)
    scene.event("1-0", "game-a", "container_oom")
    scene.event("9-0", "game-a", "container_started")
    fails = iter([True, True, False, True, False])

    def visit(crossing: Crossing) -> None:
        if (crossing.name, crossing.when) == ("rows.write", When.BEFORE) and next(fails, False):
            raise Unavailable("away")

    actor = scene.actor(Boundaries(visit=visit), job=replace(ONCE, batch_size=1))
    actor.worker.run(Watch(patience=99))
    assert [waiting.attempt for waiting in waits(actor)] == [1, 2, 1]


def test_a_long_wait_uses_the_session_at_least_once_a_second(scene: Scene) -> None:
    actor = scene.actor(Boundaries(visit=failing(1)), backoff=Backoff(first_s=3.5))
    watch = Watch(patience=4)
    actor.worker.run(watch)
    assert watch.waits == [1.0, 1.0, 1.0, 0.5]
    assert max(watch.waits) <= KEEP_ALIVE_S
    calls = actor.boundaries.names
    assert calls[calls.index("stream.read") + 1 :] == ["rows.keep_alive"] * 3


def test_a_wait_ends_at_once_when_asked_to_stop(scene: Scene) -> None:
    actor = scene.actor(Boundaries(visit=failing(9)), backoff=Backoff(first_s=60))
    watch = Watch(patience=1)
    actor.worker.run(watch)
    assert watch.waits == [1.0]
    assert len(waits(actor)) == 1


def test_a_session_that_cannot_be_kept_alive_does_not_end_the_wait(scene: Scene) -> None:
    def visit(crossing: Crossing) -> None:
        if crossing.when is When.BEFORE and crossing.name in ("stream.read", "rows.keep_alive"):
            raise Unavailable("all is away")

    actor = scene.actor(Boundaries(visit=visit), backoff=Backoff(first_s=3))
    watch = Watch(patience=3)
    actor.worker.run(watch)
    assert watch.waits == [1.0, 1.0, 1.0]


def test_asked_to_stop_it_does_not_begin(scene: Scene) -> None:
    actor = scene.actor()
    actor.worker.run(Watch(patience=0))
    assert actor.boundaries.names == []


def test_a_job_with_an_end_ends_there(scene: Scene) -> None:
    for at in range(1, 12):
        scene.event(f"{at}-0", "game-x", "container_oom")
    actor = scene.actor(job=ONCE)
    actor.worker.run(Watch(patience=1))
    assert (actor.worker.done, scene.offset()) == (True, "9-0")


def test_a_job_with_an_end_ends_when_there_is_nothing_to_do(scene: Scene) -> None:
    actor = scene.actor(job=ONCE)
    actor.worker.run(Watch(patience=1))
    assert actor.worker.done


def test_it_gives_up_after_as_many_failures_in_a_row_as_the_job_says(scene: Scene) -> None:
    actor = scene.actor(Boundaries(visit=failing(99, "stream.read_range")), job=replace(ONCE, tries=3))
    with pytest.raises(Unavailable, match="the server is away"):
        actor.worker.run(Watch(patience=99))
    assert len(waits(actor)) == 2


def test_a_standby_tries_once_a_second_and_stops_when_asked_to(scene: Scene) -> None:
    scene.actor().rest()
    actor = scene.actor()
    watch = Watch(patience=3)
    actor.worker.run(watch)
    assert watch.waits == [KEEP_ALIVE_S] * 3
    assert [type(report) for report in actor.reports] == [Standby, Idle, Idle, Idle]


def test_a_job_with_a_rate_waits_after_each_batch(scene: Scene) -> None:
    for at in range(1, 10):
        scene.event(f"{at}-0", "game-x", "container_oom")
    watch = Watch(patience=99)
    scene.actor(job=replace(ONCE, rate=2.0)).worker.run(watch)
    assert watch.waits == [1.0, 1.0, 1.0, 1.0, 0.5]  # four entries take two seconds, the last one half a second


def test_what_no_waiting_helps_against_ends_it(scene: Scene) -> None:
    scene.actor().rest()
    with pytest.raises(Refused):
        scene.actor(job=ONCE).worker.run(Watch(patience=99))
