"""While consumers are paused none has the lock, writes or commits; afterwards one takes over (design 3.6)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count

import pytest

from gmhealth.core.entry import EntryId
from gmhealth.core.pause import Pause
from gmhealth.errors import Refused, Unavailable
from gmhealth.worker.events import Active, BatchDone, Idle, Paused, Recovered, Report, Settled, Standby, Waiting
from gmhealth.worker.job import Job
from gmhealth.worker.loop import KEEP_ALIVE_S, Worker
from gmhealth.worker.ports import nothing
from tests.worker.memory import Contents, Game, Ports, Postgres, Redis
from tests.worker.test_run import Watch

PAUSE = Pause("anna@host", "a migration", 1_795_449_364_420, "ab12")
PAUSED = Paused(PAUSE.who, PAUSE.why, PAUSE.until_ms)
JOB = Job(batch_size=2)
ONCE = replace(JOB, until=EntryId(9, 0))
REPLAY = replace(ONCE, start=EntryId(1, 0))


@dataclass
class Actor:
    """A worker, what it called and what it reported; `act` is done before the first call of its name."""

    worker: Worker
    calls: list[str]
    reports: list[Report]
    act: dict[str, Callable[[], object]]

    def steps(self, many: int = 1) -> None:
        for _ in range(many):
            self.worker.step()

    def takes(self) -> tuple[list[str], list[Report]]:
        """What was called and reported since the last look."""
        taken = self.calls[:], self.reports[:]
        self.calls.clear()
        self.reports.clear()
        return taken


class Servers:
    """Both servers in memory, with a game and some events for it."""

    def __init__(self) -> None:
        self.redis = Redis(Contents({}))
        self.postgres = Postgres({"game-a": Game(updated_at=Postgres.text(0))})
        self._names = count(1)

    def event(self, kind: str = "container_oom") -> None:
        self.redis.added = at = self.redis.added + 1
        fields = [b"game_id", b"game-a", b"event_type", kind.encode(), b"occurred_at_ms", b"1"]
        self.redis.now.entries[EntryId(at, 0)] = (f"{at}-0".encode(), fields)

    def pause(self, pause: Pause | None = PAUSE) -> None:
        self.redis.pause = pause

    def actor(self, job: Job = JOB) -> Actor:
        calls: list[str] = []
        reports: list[Report] = []
        act: dict[str, Callable[[], object]] = {}

        def gate(name: str, call: Callable[[], object]) -> object:
            calls.append(name)
            act.pop(name, nothing)()
            return call()

        ports = Ports(self.redis, self.postgres, gate)
        worker = Worker(
            *(ports, ports, ports),
            job=job,
            observe=reports.append,
            name=f"worker {next(self._names)}",
            clock_ms=lambda: 1,
            clock=lambda: 0.0,
            roll=lambda: 0.0,
        )
        return Actor(worker, calls, reports, act)

    def state(self) -> tuple[str, str | None, bytes]:
        """The game's summary, the offset and the commit record."""
        return self.postgres.games["game-a"].health, self.redis.now.offset, self.redis.now.packed


@pytest.fixture
def servers() -> Servers:
    return Servers()


def away() -> None:
    raise Unavailable("Redis is away", server="Redis", cause="gone")


def test_a_leader_finishes_its_batch_and_gives_the_lock_back(servers: Servers) -> None:
    servers.event()
    leader = servers.actor()
    leader.act["rows.write"] = servers.pause
    leader.steps()
    assert servers.state()[:2] == ("oom", "1-0")
    leader.takes()
    before = servers.state()
    servers.event("container_started")
    assert leader.worker.step() == KEEP_ALIVE_S
    assert leader.takes() == (["rows.lock", "stream.read"], [PAUSED, Idle(EntryId(1, 0))])
    assert (servers.state(), servers.postgres.session) == (before, None)


def test_while_paused_redis_is_asked_once_a_turn_and_postgresql_is_left_alone(servers: Servers) -> None:
    servers.pause()
    actor, watch = servers.actor(), Watch(patience=3)
    actor.worker.run(watch)
    assert watch.waits == [KEEP_ALIVE_S] * 3
    assert [name for name in actor.calls if name != "rows.keep_alive"] == ["ledger.saved"] * 3
    assert actor.reports == [PAUSED, *[Idle(EntryId(0, 0))] * 3]
    assert servers.postgres.session is None


def test_a_standby_takes_no_lock_that_is_free(servers: Servers) -> None:
    leader, standby = servers.actor(), servers.actor()
    leader.steps()
    standby.steps()
    assert isinstance(standby.takes()[1][0], Standby)
    servers.pause()
    leader.steps()
    standby.steps(2)
    assert standby.takes() == (["ledger.saved"] * 2, [PAUSED, Idle(EntryId(0, 0)), Idle(EntryId(0, 0))])
    assert servers.postgres.session is None


def test_a_batch_that_was_read_ahead_is_dropped(servers: Servers) -> None:
    leader = servers.actor()
    leader.steps()
    for _ in range(4):
        servers.event()
    leader.takes()
    leader.act["ledger.commit"] = servers.pause
    leader.steps(2)
    batch = ["rows.lock", "stream.read", "stream.state", "stream.read", "rows.write", "ledger.commit"]
    assert leader.takes()[0] == [*batch, "rows.lock", "ledger.saved"]
    assert servers.redis.now.offset == "2-0"
    servers.pause(None)
    leader.steps()
    assert "stream.read" in leader.calls, "once more"
    assert servers.redis.now.offset == "4-0"


def test_a_leader_that_lost_its_session_meanwhile_settles_nothing(servers: Servers) -> None:
    leader = servers.actor()
    leader.steps()
    servers.pause()
    servers.postgres.end_sessions()
    before = servers.state()
    with pytest.raises(Unavailable):
        leader.steps()
    leader.takes()
    leader.steps(2)
    assert leader.takes()[0] == ["rows.lock", "ledger.saved", "ledger.saved"]
    assert (servers.state(), servers.postgres.session) == (before, None)


def test_after_the_pause_it_settles_as_after_any_take_over(servers: Servers) -> None:
    leader = servers.actor()
    leader.steps()
    servers.pause()
    leader.steps()
    other = servers.actor(REPLAY)  # it writes, and ends before it has published that
    servers.event()
    other.act["rows.write"] = lambda: other.act.update({"ledger.commit": away})
    with pytest.raises(Unavailable):
        other.steps()
    servers.postgres.end_sessions()
    leader.takes()
    servers.pause(None)
    leader.steps()
    calls, reports = leader.takes()
    assert calls[:3] == ["ledger.saved", "rows.lock", "ledger.saved"]
    assert [type(each) for each in reports] == [Settled, Active, BatchDone]
    assert reports[0] == Settled(EntryId(0, 0), published=1, repaired=0)
    assert servers.state()[:2] == ("oom", "1-0")


def test_after_the_pause_all_but_one_stand_by(servers: Servers) -> None:
    servers.pause()
    one, other = servers.actor(), servers.actor()
    one.steps()
    other.steps()
    servers.pause(None)
    one.steps()
    other.takes()
    other.steps()
    assert [type(each) for each in other.takes()[1]] == [Standby, Idle]


@pytest.mark.parametrize(
    ("renewed", "reported"),
    [
        (Pause(PAUSE.who, PAUSE.why, 9, PAUSE.token), []),
        (Pause("ben", "", None, "cd34"), [Paused("ben", "", None)]),
    ],
    ids=["renewed", "another"],
)
def test_a_pause_is_reported_once_over_renewals_and_outages(
    servers: Servers, renewed: Pause, reported: list[Report]
) -> None:
    servers.pause()
    actor = servers.actor()
    actor.steps()
    actor.act["ledger.saved"] = away
    with pytest.raises(Unavailable):
        actor.steps()
    servers.pause(renewed)
    actor.takes()
    actor.steps()
    assert actor.takes()[1] == [*reported, Idle(EntryId(0, 0))]


def test_a_redis_that_is_away_is_waited_for_without_a_session(servers: Servers) -> None:
    servers.pause()
    actor = servers.actor()
    actor.steps()
    actor.takes()
    actor.act["ledger.saved"] = away
    actor.worker.run(Watch(patience=2))
    calls, reports = actor.takes()
    assert [name for name in calls if name != "rows.keep_alive"] == ["ledger.saved"] * 2
    assert [type(each) for each in reports] == [Waiting, Idle, Recovered]
    assert servers.postgres.session is None


@pytest.mark.parametrize("when", ["first", "later"])
def test_a_job_with_an_end_is_refused(servers: Servers, when: str) -> None:
    for _ in range(4):
        servers.event()
    once = servers.actor(ONCE)
    if when == "later":
        once.steps()
    servers.pause()
    before = servers.state()
    with pytest.raises(Refused, match=r"^paused by anna@host until 2026-11-23 15:56:04 UTC \(a migration\)$"):
        once.steps()
    assert servers.state() == before


def test_a_replay_is_not_paused(servers: Servers) -> None:
    servers.event()
    servers.pause()
    replay = servers.actor(REPLAY)
    replay.worker.run(Watch(patience=9))
    assert (replay.worker.done, servers.state()[0]) == (True, "oom")


@pytest.mark.parametrize(
    ("paused", "text"),
    [
        (Paused("ben", "", None), "paused by ben until an unknown time"),
        (Paused("ben", "x", 253_402_300_799_999), "paused by ben until 9999-12-31 23:59:59 UTC (x)"),
        (Paused("a\n\x1b[2J\u202eb", "c\x00d", 0), "paused by a  [2J b until 1970-01-01 00:00:00 UTC (c d)"),
        (Paused("w" * 300, "y" * 300, None), f"paused by {'w' * 200} until an unknown time ({'y' * 200})"),
    ],
)
def test_whoever_set_it_it_is_one_short_line_of_printable_characters(paused: Paused, text: str) -> None:
    assert str(paused) == text
