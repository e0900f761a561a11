"""The lag, asked for from outside the working loop."""

from __future__ import annotations

from gmhealth.core.entry import EntryId
from gmhealth.core.lag_state import Health
from gmhealth.errors import Unavailable
from gmhealth.observability.lag_watch import EVERY_S, LagWatch, Unread


class Redis:
    """Says what it is told to, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.unread: Unread | None = Unread(EntryId(5, 0), 0, 0.0)

    def __call__(self) -> Unread:
        self.asked += 1
        if self.unread is None:
            raise Unavailable("no answer")
        return self.unread


class Clock:
    """Goes on when it is told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_redis_is_asked_once_a_second_however_many_scrapes_there_are() -> None:
    redis, clock = Redis(), Clock()
    watch = LagWatch(redis, lambda: True, clock=clock)
    first = watch.now()
    redis.unread = Unread(EntryId(6, 0), 9, 1.0)
    assert [watch.now(), watch.now()] == [first, first]
    assert redis.asked == 1
    clock.now += EVERY_S
    assert watch.now().unread == redis.unread
    assert redis.asked == 2


def test_who_waited_for_a_look_that_took_long_has_it_as_well() -> None:
    """A server that hangs takes five seconds; scrapes in a queue would each take as many again."""
    clock, asked = Clock(), list[float]()

    def hang() -> Unread:
        asked.append(clock.now)
        clock.now += 5
        raise Unavailable("no answer")

    watch = LagWatch(hang, lambda: True, clock=clock)
    assert [watch.now(), watch.now(), watch.now()] == [(None, None)] * 3
    assert asked == [0]


def test_nothing_is_asked_before_somebody_wants_to_know() -> None:
    redis = Redis()
    LagWatch(redis, lambda: True)
    assert redis.asked == 0


def test_a_server_that_does_not_answer_gives_no_lag_rather_than_an_old_one() -> None:
    redis, clock = Redis(), Clock()
    watch = LagWatch(redis, lambda: True, clock=clock)
    watch.now()
    redis.unread, clock.now = None, 10
    assert watch.now() == (None, None)
    assert [(each.name, each.samples[0].value) for each in watch.collect()] == [("gmhealth_stream_up", 0)]


def test_the_word_is_judged_over_the_scrapes() -> None:
    redis, clock = Redis(), Clock()
    consumed = True
    watch = LagWatch(redis, lambda: consumed, clock=clock)
    words = [watch.now().health]
    for offset, oldest_s in ((5, 20.0), (5, 30.0), (6, 30.0), (3, 40.0), (7, 0.0)):
        clock.now += 5
        redis.unread = Unread(EntryId(offset, 0), 1, oldest_s)
        words.append(watch.now().health)
    assert words == [Health.OK, Health.STALLED, Health.STALLED, Health.BEHIND, Health.REWOUND, Health.OK]
    consumed, clock.now = False, 99
    assert watch.now().health is Health.STOPPED
