"""One lane: servers of its own, a consumer behind a proxy, and what faults may do to them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

import psycopg
import redis

from gmhealth.adapters.redis import connection as redis_connection
from gmhealth.adapters.redis.reset import RedisReset, Reset
from gmhealth.core.entry import START, EntryId
from gmhealth.core.pause import Pause
from gmhealth.worker.ports import Saved
from scripts.torturing.consumer import Consumer, environment
from scripts.torturing.effects import (
    AUDIT,
    COPIED,
    DEAD,
    JOURNAL,
    LAST_BREAK,
    LOBBY,
    OFFSET,
    PAUSE,
    RECORD,
    WENT_BACK,
    WRITES,
)
from scripts.torturing.feed import STREAM, Feeder, quiet
from scripts.torturing.game_master import NAME as GAME_MASTER
from scripts.torturing.game_master import move
from scripts.torturing.moments import PASS, Moment, Side, Trigger, Verdict, games_in
from scripts.torturing.proxy import Link, Proxy
from scripts.torturing.site import DURABLE, Site, Stuck, until

TAKE_LOCK: Final = f"SELECT pg_advisory_lock(hashtextextended('{OFFSET.decode()}', 0))"
SESSIONS: Final = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'gmhealth consume%'"
END_SESSIONS: Final = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name LIKE 'gmhealth%'"
)
WAITING: Final = SESSIONS + " AND wait_event_type = 'Lock'"
BATCH_SIZES: Final = (5000, 3, 20, 7)
FEED_EVERY_S: Final = 0.02
SLOWLY_S: Final = 0.1
RESET_TRIES: Final = 50
READ: Final = Moment("read", Side.BEFORE)
DROPPED: Final = "gamemaster:dead_letters_dropped:health_events"
ALL_KEYS: Final[Sequence[bytes | str]] = (
    STREAM,
    OFFSET,
    RECORD,
    LOBBY,
    DEAD,
    DROPPED,
    AUDIT,
    JOURNAL,
    WRITES,
    LAST_BREAK,
)
COPIED_WITHIN_S: Final = 10.0
"""For a first commit to come."""
COMMITTED_WITHIN_S: Final = 25.0
"""For a batch that has to be halved a few times, each after the 5 s that PostgreSQL tries."""
END_CONNECTIONS: Final = ("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
"""All but our own. In the same step as something else: no commit that is on its way already comes after it."""
DELETE: Final = """
if redis.call('EXISTS', KEYS[1], KEYS[2]) == 2 then
  return redis.call('DEL', KEYS[1])
end
return 0
"""


class Missed(Exception):
    """A fault found nothing to strike at; it is tried again."""


class Lane:
    """What the faults work with; its random decisions depend on the seed and its number only."""

    def __init__(self, site: Site, evidence: Path, *, seed: int, number: int, package: Path) -> None:
        self.site, self.evidence = site, evidence
        self.feeder = Feeder(site.redis, Random(f"{seed} feed {number}"))
        self.random = Random(f"{seed} others {number}")
        self.batch = BATCH_SIZES[(seed + number) % len(BATCH_SIZES)]
        self.proxy = Proxy(site.redis_socket, site.postgres_socket)
        self.second_proxy = Proxy(site.redis_socket, site.postgres_socket)
        self.environ = environment(package, self.proxy)
        self.consumer = Consumer(["-m", "gmhealth", "consume"], self.environ, evidence / "consumer.log")
        environ = environment(package, self.second_proxy)
        self.second = Consumer(["-m", "scripts.torturing.second"], environ, evidence / "second.log")
        self._copies = 0
        self.link: Link | None = None
        self.raw = b""
        self.fence_only = False  # whether a second consumer has been active in this run

    def close(self) -> None:
        """Leave nothing behind."""
        self.consumer.kill()
        self.second.kill()
        self.proxy.close()
        self.second_proxy.close()

    def start_consumer(self) -> None:
        """Start it with this lane's batch size, so that batches of every length come about somewhere."""
        self.consumer.start("--batch-size", str(self.batch))

    def pause(self, seconds: float, *, feed_every_s: float = SLOWLY_S) -> None:
        """Let time pass, while events come."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.feeder.feed()
            time.sleep(min(left, feed_every_s))

    def await_commit(self) -> None:
        """Wait until the consumer commits a batch, while events come."""
        before, end = self.site.ask("GET", OFFSET), time.monotonic() + COMMITTED_WITHIN_S
        while self.site.ask("GET", OFFSET) == before:
            self.consumer.check()
            if time.monotonic() > end:
                raise Stuck("the consumer does not get on, however small a batch it could try")
            self.pause(SLOWLY_S)

    def pause_consumers(self, seconds: float) -> None:
        """Ask the consumers to hold."""
        now_ms, ms = time.time_ns() // 10**6, round(1000 * seconds)
        pause = Pause("torture", "a fault", now_ms + ms, str(now_ms))
        self.site.ask("SET", PAUSE, pause.pack(), "NX", "PX", ms)

    def await_link_end(self) -> None:
        """Wait until the consumer has given up the connection that was struck."""
        link = self.link
        if link is not None:
            until(link.closed.is_set, "the consumer waits for an answer that does not come")

    def _session(self) -> int:
        for (pid,) in self.site.query(SESSIONS):
            return int(pid)
        raise Missed("the consumer has no session")

    def kill_backend(self) -> None:
        """`kill -9` for the process behind the consumer's session."""
        with suppress(ProcessLookupError):
            os.kill(self._session(), signal.SIGKILL)

    def terminate_backend(self) -> None:
        """End the consumer's session, and wait until it is gone."""
        pid = self._session()
        self.site.query("SELECT pg_terminate_backend(%s, 5000)", [pid])

    @contextmanager
    def postgres_unreachable(self) -> Iterator[None]:
        """Leave no consumer a session, and let none connect."""
        proxies = (self.proxy, self.second_proxy)
        try:
            for proxy in proxies:
                proxy.shut("postgres")
            self.site.query(END_SESSIONS)
            yield
        finally:
            for proxy in proxies:
                proxy.open("postgres")

    @contextmanager
    def lock_taken(self) -> Iterator[None]:
        """End the consumer's session and hold its lock in another one."""
        with psycopg.connect(self.site.postgres.dsn, autocommit=True) as other:
            other.execute("SET lock_timeout = '200ms'")  # if the consumer is back first, it is tried again
            self.terminate_backend()
            other.execute(TAKE_LOCK)
            yield

    def games_written(self, *, least: int = 1) -> list[str]:
        """Give the games that the held message writes, in order; not all that it names have a row."""
        rows = 'SELECT game_id FROM runtime_records WHERE game_id = ANY (%s) ORDER BY game_id COLLATE "C"'
        games = [game_id for (game_id,) in self.site.query(rows, [games_in(self.raw)])]
        if len(games) < least:
            raise Missed("this write has too few games that have a row")
        return games

    @contextmanager
    def row_held(self) -> Iterator[Held]:
        """Hold the last of the rows that the held message writes."""
        with psycopg.connect(self.site.postgres.dsn, application_name=GAME_MASTER, options=DURABLE) as other:
            other.execute(
                "SET deadlock_timeout = '20s'; SET lock_timeout = '10s'"
            )  # so that it is the consumer who finds the deadlock
            games = self.games_written()
            held = Held(self, other, games)
            held.lock(games[-1])
            yield held
            with suppress(psycopg.OperationalError):
                other.commit()

    def reset(self, entries: int) -> None:
        """Set the offset so many entries on or back, as `offset reset --yes` does: past whatever a consumer does."""
        with redis_connection.connect(self.site.valkey.url) as client:
            operator = RedisReset(client, offset=OFFSET.decode(), audit=AUDIT.decode())
            for _ in range(RESET_TRIES):
                saved = client.get(OFFSET)
                text = saved.decode() if isinstance(saved, bytes) else None
                old = EntryId.parse(text or "") or START
                new = self._entry_from(old, entries)
                if new == old:
                    raise Missed("there is no entry to set the offset to")
                if operator.apply(Reset(Saved(text, b"", old), new, "operator", "torture", time.time_ns() // 10**6)):
                    return
        raise Missed("the offset moves too fast")

    def _entry_from(self, old: EntryId, entries: int) -> EntryId:
        if entries < 0 and old == START:
            return old
        if entries > 0:
            found = self.site.ask("XRANGE", STREAM, f"({old}", "+", "COUNT", entries)
        else:
            found = self.site.ask("XREVRANGE", STREAM, f"({old}", "-", "COUNT", -entries)
        return (EntryId.parse(found[-1][0]) or START) if found else old

    def reset_by_command(self, by: int) -> None:
        """Have an operator do it; with nothing to move to, the command does nothing."""
        environ = {**self.environ, "GMHEALTH_REDIS_URL": self.site.valkey.url}
        environ["GMHEALTH_POSTGRES_DSN"] = self.site.postgres.dsn
        operator = Consumer(["-m", "gmhealth", "offset", "reset"], environ, self.evidence / "operator.log")
        operator.start(f"--by={by}", "--yes", "--reason", "torture")
        while (code := operator.ended()) is None:
            self.pause(SLOWLY_S)
        if code:
            raise Missed(f"the operator's command ended with {code}: {operator.last_words()}")

    def copy_redis(self) -> Copy:
        """Copy all keys, as a replica has them that will lag behind from now on."""
        self._copies += 1

        def copied() -> list[Any] | None:
            with suppress(redis.RedisError), self.site.redis.pipeline(transaction=True) as pipeline:
                pipeline.set(COPIED, self._copies)
                for key in ALL_KEYS:
                    pipeline.dump(key)
                _, *found = pipeline.execute()
                held = dict(zip(ALL_KEYS, found, strict=True))
                if held[OFFSET] and held[RECORD]:  # a record that somebody had deleted would be lost for good
                    return found
            self.feeder.feed(1)  # the first commit makes them
            return None

        try:
            return Copy(self._copies, until(copied, "Valkey cannot be copied", within_s=COPIED_WITHIN_S))
        except Stuck as error:
            raise Missed("nothing was committed yet") from error

    def go_back(self, copy: Copy) -> None:
        """Set Redis back to a copy, and end all connections to it: what a failover to a lagging replica does."""
        with self.site.redis.pipeline(transaction=True) as pipeline:
            pipeline.execute_command(*END_CONNECTIONS)
            pipeline.set(WENT_BACK, copy.number)
            for key, value in zip(ALL_KEYS, copy.values, strict=True):
                if value is None:
                    pipeline.delete(key)
                else:
                    pipeline.restore(key, 0, value, replace=True)
            try:
                pipeline.execute()
            except redis.RedisError as error:
                raise Missed("Valkey does not take it now") from error

    def trim(self, left: int) -> None:
        """Trim the stream of health events to so many entries, and end all connections to Redis."""

        def trimmed() -> bool:
            with suppress(redis.RedisError), self.site.redis.pipeline(transaction=True) as pipeline:
                pipeline.execute_command(*END_CONNECTIONS)
                pipeline.execute_command("XTRIM", STREAM, "MAXLEN", "=", left)
                pipeline.execute()
                return True
            return False

        until(trimmed, "Valkey does not take it now")

    def delete(self, key: bytes, other: bytes) -> None:
        """Delete one of the two keys that a commit is fenced by, while both are there."""
        if not self.site.ask("EVAL", DELETE, 2, key, other):
            raise Missed("one of the two is missing already")

    def kill_at(self, moment: Moment) -> None:
        """`kill -9` at the next message of a kind."""

        def strike(_link: Link, _raw: bytes) -> Verdict:
            self.consumer.send(signal.SIGKILL)
            return PASS

        trigger = self.proxy.trigger = Trigger(moment, 1, strike)
        until(lambda: trigger.done.wait(FEED_EVERY_S) or not self.feeder.feed(1), f"nothing comes by at {moment}")
        self.consumer.await_end()

    def second_consumer(self, rounds: int) -> None:
        """Have a second consumer be active for a while; it ends when both have nothing in flight."""
        self.fence_only = True
        reads = self.second_proxy.passed[READ]
        self.second.start()
        until(lambda: self.second_proxy.passed[READ] > reads, "the second consumer does not read")
        for _ in range(rounds):
            self.pause(FEED_EVERY_S * self.random.random())
            if self.random.random() < 0.3:
                self._cut_somebody()
        self.drain()
        self.second.end(signal.SIGTERM, code=0)

    def _cut_somebody(self) -> None:
        links = self.random.choice((self.proxy, self.second_proxy)).links
        if links:
            self.random.choice(links).close()

    def drain(self) -> None:
        """Wait until all is consumed; of two consumers, until both have come round to find nothing."""
        until(self._drained, "the stream is not drained")
        if self.second.pid is not None:
            reads = {proxy: proxy.passed[READ] for proxy in (self.proxy, self.second_proxy)}
            until(lambda: all(proxy.passed[READ] > seen + 1 for proxy, seen in reads.items()), "a consumer is stuck")
            until(self._drained, "the stream is not drained")

    def _drained(self) -> bool:
        self.consumer.check()
        self.second.check()
        last = self.site.ask("XREVRANGE", STREAM, "+", "-", "COUNT", 1)
        return not last or last[0][0] == self.site.ask("GET", OFFSET)


class Copy(NamedTuple):
    """What all keys held, as DUMP gives it; None for a key that was not there."""

    number: int
    values: Sequence[bytes | None]


class Held:
    """A row that somebody else has locked, in an open transaction of Game Master's."""

    def __init__(self, lane: Lane, session: psycopg.Connection[Any], games: list[str]) -> None:
        self._lane, self._session, self._games = lane, session, games
        self._row: tuple[str, int] | None = None

    def lock(self, game_id: str) -> None:
        """Lock a row."""
        statement = "SELECT status, current_turn FROM runtime_records WHERE game_id = %s FOR UPDATE"
        self._row = self._session.execute(statement, [game_id]).fetchone()

    def change(self) -> None:
        """Make a legal transition of the row, if it is Game Master's."""
        game_id = self._games[-1]
        if self._row is not None and not quiet(game_id):
            move(self._session, game_id, *self._row, self._lane.random)

    def cross(self) -> None:
        """Ask for a row that the consumer has by now, while it waits for ours."""
        with suppress(psycopg.OperationalError):
            until(lambda: self._lane.site.query(WAITING), "the consumer does not wait for the row", within_s=5)
            self.lock(self._games[0])
