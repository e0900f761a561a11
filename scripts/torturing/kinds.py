"""Every kind of fault: when it may strike, what it does at that moment, and what it does afterwards.

Each gives a generator. What comes before its `yield` is done while the message is held, and what it yields is done to
that message; the rest follows when the message has gone its way. `size`, from 0 to 1, says how long or how much.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from scripts.torturing.commit_loss import first_of, lose_commits
from scripts.torturing.effects import OFFSET, RECORD
from scripts.torturing.feed import COLD, game_name
from scripts.torturing.lane import Missed
from scripts.torturing.moments import CUT, PASS, Act, Moment, Side, Verdict
from scripts.torturing.row_faults import refused, slow

if TYPE_CHECKING:
    from scripts.torturing.lane import Lane

Course = Generator[Verdict]

STEPS: Final = ("read", "read", "write", "write", "publish", "publish")
REDIS: Final = ("read", "read", "publish", "publish", "publish", "offset", "greet")
POSTGRES: Final = ("write", "write", "write", "lock", "session")
ANY_REDIS: Final = frozenset(("read", "publish", "offset", "greet", "range", "state"))
ANY_POSTGRES: Final = frozenset(("load", "now", "write", "lock", "session", "alive", "holder"))

SETTLING: Final = ("offset", "now", "load", "publish")
"""What a leader does before its first batch."""

TOO_LONG_S: Final = 5.15
"""A little more than the `statement_timeout` of the consumer's session."""

UNSENT: Final = (Side.BEFORE,)
ANSWERED: Final = (Side.AFTER,)
AROUND: Final = (Side.BEFORE, Side.AFTER, Side.DELIVERED)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault. `wires` and `sides` say at which messages; `games`: those that name as many.

    `survived`: one and the same process goes on afterwards.
    """

    name: str
    course: Callable[[Lane, float], Course]
    wires: tuple[str, ...] = STEPS
    sides: tuple[Side, ...] = AROUND
    games: int = 0
    survived: bool = True

    def moments(self) -> list[Moment]:
        """Give the moments to choose from; one that is to come more often is there more often."""
        return [Moment(wire, side) for wire in self.wires for side in self.sides]

    def otherwise(self) -> frozenset[str]:
        """Give the messages to strike at if the chosen one does not come."""
        if self.games:
            return frozenset(self.wires)
        if self.wires == REDIS:
            return ANY_REDIS
        return ANY_POSTGRES if self.wires == POSTGRES else ANY_REDIS | ANY_POSTGRES


def killed(lane: Lane, _size: float) -> Course:
    """`kill -9`, and another process goes on."""
    lane.consumer.send(signal.SIGKILL)
    yield PASS
    lane.consumer.await_end()
    lane.start_consumer()


def killed_again(lane: Lane, size: float) -> Course:
    """`kill -9`, and once more while the next process settles what that has left."""
    lane.consumer.send(signal.SIGKILL)
    yield PASS
    lane.consumer.await_end()
    lane.start_consumer()
    moments = [Moment(wire, side) for wire in SETTLING for side in AROUND]
    lane.kill_at(moments[int(size * len(moments))])
    lane.start_consumer()


def ended(lane: Lane, _size: float) -> Course:
    """SIGTERM: it has to finish the batch in flight and exit with 0."""
    lane.consumer.send(signal.SIGTERM)
    yield PASS
    lane.consumer.await_end(code=0)
    lane.start_consumer()


def stopped(lane: Lane, size: float) -> Course:
    """SIGSTOP, SIGCONT a moment later."""
    lane.consumer.send(signal.SIGSTOP)
    yield PASS
    lane.pause(0.05 + 0.3 * size)
    lane.consumer.send(signal.SIGCONT)


def frozen(lane: Lane, size: float) -> Course:
    """The same for longer than PostgreSQL keeps a silent session (3 s)."""
    lane.consumer.send(signal.SIGSTOP)
    yield PASS
    lane.pause(3.1 + 0.7 * size)
    lane.consumer.send(signal.SIGCONT)


def cut(_lane: Lane, _size: float) -> Course:
    """The connection ends."""
    yield CUT


def halved(_lane: Lane, _size: float) -> Course:
    """Half of an answer arrives, then the connection ends."""
    yield Verdict(Act.HALF)


def withheld(lane: Lane, _size: float) -> Course:
    """The answer never arrives, and the connection stays open: only the client's own deadline ends it."""
    yield Verdict(Act.WITHHOLD)
    lane.await_link_end()


def stalled(_lane: Lane, size: float) -> Course:
    """Nothing moves for a moment."""
    yield Verdict(Act.STALL, 0.05 + 0.4 * size)


def delayed(server: str) -> Callable[[Lane, float], Course]:
    """Each of the next messages comes late."""

    def course(lane: Lane, size: float) -> Course:
        weather = lane.proxy.weather[server]
        weather.delay_s, weather.delayed = 0.005 + 0.03 * size, 12
        yield PASS

    return course


def sliced(server: str) -> Callable[[Lane, float], Course]:
    """Each of the next messages comes byte by byte."""

    def course(lane: Lane, size: float) -> Course:
        lane.proxy.weather[server].sliced = 4 + int(8 * size)
        yield PASS

    return course


def valkey_killed(lane: Lane, _size: float) -> Course:
    """`kill -9` for Valkey, which starts again from its append-only file."""
    lane.site.kill_valkey()
    yield PASS
    lane.site.start_valkey()


def valkey_loading(lane: Lane, _size: float) -> Course:
    """The same, and it takes its time to load: -LOADING meanwhile."""
    lane.site.kill_valkey()
    yield PASS
    lane.site.start_valkey_slowly()


def postgres_killed(lane: Lane, _size: float) -> Course:
    """`kill -9` for the postmaster; recovery from the write-ahead log."""
    lane.site.kill_postmaster()
    yield PASS
    lane.site.start_postgres()


def commits_lost(lane: Lane, size: float) -> Course:
    """PostgreSQL starts again without its last commits, or without those of some games."""
    with _postgres_set_back(lane, size):
        lane.site.kill_postmaster()
        yield PASS
        lane.site.start_postgres()


def commits_lost_and_killed(lane: Lane, size: float) -> Course:
    """The same with `kill -9` for the consumer, as when the one machine that they are on goes down."""
    with _postgres_set_back(lane, size):
        lane.consumer.send(signal.SIGKILL)
        lane.site.kill_postmaster()
        yield PASS
        lane.consumer.await_end()
        lane.site.start_postgres()
    lane.start_consumer()


@contextmanager
def _postgres_set_back(lane: Lane, size: float) -> Iterator[None]:
    since = first_of(lane.site, 1 + int(15 * size))
    if since is None:
        raise Missed("no row was written lately")
    games = [game_name(game) for game in range(COLD)]
    lost = games if lane.random.random() < 0.7 else lane.random.sample(games, COLD // 2)
    with lane.postgres_unreachable():
        lose_commits(lane.site, lost, since=since)
        yield


def all_killed(lane: Lane, _size: float) -> Course:
    """`kill -9` for the consumer and both servers, as when the one machine that they are on goes down."""
    lane.site.kill_postmaster()
    lane.site.kill_valkey()
    lane.consumer.send(signal.SIGKILL)
    yield CUT
    lane.consumer.await_end()
    lane.site.start_valkey()
    lane.site.start_postgres()
    lane.start_consumer()


def backend_killed(lane: Lane, _size: float) -> Course:
    """`kill -9` for the consumer's backend: PostgreSQL ends all sessions and recovers."""
    lane.kill_backend()
    yield PASS


def backend_terminated(lane: Lane, _size: float) -> Course:
    """pg_terminate_backend for the consumer's session, and its lock with it."""
    lane.terminate_backend()
    yield PASS


def lock_lost(lane: Lane, size: float) -> Course:
    """The session is ended, and somebody else has the leader lock by the time the consumer comes back."""
    with lane.lock_taken():
        yield PASS
        lane.pause(0.1 + 0.8 * size)


def read_only(lane: Lane, size: float) -> Course:
    """Valkey becomes the replica of a primary that is not there."""
    lane.site.ask("REPLICAOF", "127.0.0.1", "1")
    yield PASS
    lane.pause(0.05 + 0.3 * size)
    lane.site.ask("REPLICAOF", "NO", "ONE")


def without_replicas(lane: Lane, size: float) -> Course:
    """Valkey takes no writes without a replica: -NOREPLICAS."""
    lane.site.ask("CONFIG", "SET", "min-replicas-to-write", "1")
    yield PASS
    lane.pause(0.05 + 0.3 * size)
    lane.site.ask("CONFIG", "SET", "min-replicas-to-write", "0")


def full(lane: Lane, size: float) -> Course:
    """Valkey has no memory left: -OOM."""
    lane.site.ask("CONFIG", "SET", "maxmemory", "1")
    yield PASS
    lane.pause(0.05 + 0.3 * size)
    lane.site.ask("CONFIG", "SET", "maxmemory", "0")


def paused(lane: Lane, size: float) -> Course:
    """CLIENT PAUSE."""
    lane.site.ask("CLIENT", "PAUSE", int(50 + 400 * size), "ALL")
    yield PASS
    lane.site.ask("PING")


def consumers_paused(lane: Lane, size: float) -> Course:
    """Consumers are asked to hold, by a key that soon expires; the next fault may come while they do."""
    lane.pause_consumers(0.05 + 1.5 * size)
    yield PASS


def row_locked(lane: Lane, size: float) -> Course:
    """Game Master holds a row for a while, then commits a change; past a second the consumer gives up (55P03)."""
    with lane.row_held() as held:
        yield PASS
        lane.pause(0.05 + 1.2 * size)
        held.change()


def deadlocked(lane: Lane, _size: float) -> Course:
    """Somebody holds a row and waits for another one that the consumer has (40P01)."""
    with lane.row_held() as held:
        yield PASS
        held.cross()


def row_refused(lane: Lane, size: float) -> Course:
    """PostgreSQL refuses the rows of some of the games that are written, for a moment."""
    with refused(lane.site, _some(lane, size)):
        yield PASS
        lane.pause(0.1 + 0.5 * size)


def row_refused_and_killed(lane: Lane, size: float) -> Course:
    """The same, and `kill -9` on the way to the commit; another process meets it as well, or not any more."""
    moments = [Moment(wire, side) for wire in ("write", "publish") for side in AROUND]
    with refused(lane.site, _some(lane, size)):
        yield PASS
        lane.kill_at(lane.random.choice(moments))
        lane.start_consumer()
        lane.pause(0.6 * size)


def _some(lane: Lane, size: float) -> list[str]:
    games = lane.games_written()
    return lane.random.sample(games, min(len(games), 1 + int(3 * size)))


def rows_slow(lane: Lane, _size: float) -> Course:
    """PostgreSQL takes longer for these rows than it may, all together, and not for half of them."""
    games = lane.games_written(least=2)
    with slow(lane.site, TOO_LONG_S / len(games)):
        yield PASS
        lane.await_commit()


def reset_back(lane: Lane, size: float) -> Course:
    """An operator sets the offset back."""
    lane.reset(-1 - int(8 * size))
    yield PASS


def reset_forward(lane: Lane, size: float) -> Course:
    """An operator sets the offset forward, past the batch in flight and more."""
    lane.feeder.feed(4 + int(8 * size))
    lane.reset(1 + int(8 * size))
    yield PASS


def reset_by_command(lane: Lane, size: float) -> Course:
    """The same by the real command, either way."""
    yield PASS
    lane.reset_by_command(int(16 * size) - 8 or 1)


def second_active(lane: Lane, size: float) -> Course:
    """A second consumer is active for a while, with the fence as the only guard."""
    yield PASS
    lane.second_consumer(5 + int(10 * size))


def offset_deleted(lane: Lane, _size: float) -> Course:
    """Somebody deletes the offset; the commit record still has it."""
    lane.delete(OFFSET, RECORD)
    yield PASS


def record_deleted(lane: Lane, _size: float) -> Course:
    """Somebody deletes the commit record."""
    lane.delete(RECORD, OFFSET)
    yield PASS


def trimmed(lane: Lane, size: float) -> Course:
    """`kill -9`, and entries are trimmed before another process can read them, perhaps all there are."""
    lane.consumer.send(signal.SIGKILL)
    yield CUT
    lane.consumer.await_end()
    lane.trim(int(4 * size))
    lane.start_consumer()


def gone_back(lane: Lane, _size: float) -> Course:
    """Redis fails over to a replica that lacks the last few commits."""
    copy = lane.copy_redis()  # some messages before the fault strikes

    def course() -> Course:
        lane.go_back(copy)
        yield CUT

    return course()


def gone_back_and_killed(lane: Lane, _size: float) -> Course:
    """The same, and nobody is left who had seen these commits."""
    copy = lane.copy_redis()

    def course() -> Course:
        lane.consumer.send(signal.SIGKILL)
        lane.go_back(copy)
        yield CUT
        lane.consumer.await_end()
        lane.start_consumer()

    return course()


def _on_both(name: str, course: Callable[[Lane, float], Course], sides: tuple[Side, ...]) -> list[Kind]:
    return [Kind(f"{name}, Redis", course, REDIS, sides), Kind(f"{name}, PostgreSQL", course, POSTGRES, sides)]


KINDS: Final = [
    Kind("kill -9", killed, survived=False),
    Kind("kill -9, and while it settles", killed_again, survived=False),
    Kind("SIGTERM", ended, survived=False),
    Kind("SIGSTOP, short", stopped),
    Kind("SIGSTOP, past the session", frozen),
    *_on_both("connection cut", cut, (Side.BEFORE, Side.DELIVERED)),
    *_on_both("answer lost", cut, ANSWERED),
    *_on_both("half an answer", halved, ANSWERED),
    *_on_both("answer withheld", withheld, ANSWERED),
    *_on_both("stalled", stalled, AROUND),
    Kind("delayed, Redis", delayed("redis"), REDIS),
    Kind("delayed, PostgreSQL", delayed("postgres"), POSTGRES),
    Kind("byte by byte, Redis", sliced("redis"), REDIS),
    Kind("byte by byte, PostgreSQL", sliced("postgres"), POSTGRES),
    Kind("Valkey killed", valkey_killed),
    Kind("Valkey loading", valkey_loading),
    Kind("Valkey read-only", read_only),
    Kind("Valkey without replicas", without_replicas),
    Kind("Valkey full", full),
    Kind("Valkey pauses clients", paused),
    Kind("PostgreSQL killed", postgres_killed),
    Kind("PostgreSQL loses commits", commits_lost),
    Kind("PostgreSQL loses commits, kill -9", commits_lost_and_killed, survived=False),
    Kind("all killed", all_killed, survived=False),
    Kind("backend killed", backend_killed),
    Kind("backend terminated", backend_terminated),
    Kind("leader lock lost", lock_lost),
    Kind("pause", consumers_paused),
    Kind("row locked", row_locked, ("write",), UNSENT, 1),
    Kind("deadlock", deadlocked, ("write",), UNSENT, 2),
    Kind("row refused", row_refused, ("write",), UNSENT, 1),
    Kind("row refused, kill -9", row_refused_and_killed, ("write",), UNSENT, 1, survived=False),
    Kind("rows slow", rows_slow, ("write",), UNSENT, 2),
    Kind("offset reset back", reset_back),
    Kind("offset reset forward", reset_forward),
    Kind("offset reset, command", reset_by_command),
    Kind("second active consumer", second_active),
    Kind("offset deleted", offset_deleted),
    Kind("commit record deleted", record_deleted),
    Kind("stream trimmed, kill -9", trimmed, survived=False),
    Kind("Redis set back", gone_back),
    Kind("Redis set back, kill -9", gone_back_and_killed, survived=False),
]
