"""Both servers as a test sets them up and looks at them, and real workers on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count

import psycopg
import redis

from gmhealth.adapters.postgres import connection as postgres_connection
from gmhealth.adapters.postgres.connection import Connection
from gmhealth.adapters.postgres.rows import PostgresRows
from gmhealth.adapters.redis import connection as redis_connection
from gmhealth.adapters.redis.ledger import RedisLedger
from gmhealth.adapters.redis.stream import RedisStream
from gmhealth.core.packed_letter import unpack
from gmhealth.core.snapshot import Snapshot
from gmhealth.worker.events import Active, Idle, Report, Standby
from gmhealth.worker.job import Job
from gmhealth.worker.loop import Worker
from gmhealth.worker.outages import Backoff
from gmhealth.worker.ports import Commit
from tests.eventually import eventually
from tests.ledger_keys import KEYS
from tests.servers import connect_redis
from tests.worker.faulty import Boundaries, FaultyLedger, FaultyRows, FaultyStream

PATIENCE = "SET idle_session_timeout = 0; SET lock_timeout = 0; SET statement_timeout = 0"
"""How long a test takes is for the machine to say, and none fails for it."""
QUICK = Job(batch_size=4, block_ms=1)


class Reports(list[Report]):
    """What a worker reported; `role` is the last one of all, also of those that are cleared."""

    role: Active | Standby | None = None

    def __call__(self, report: Report, /) -> None:
        if isinstance(report, Active | Standby):
            self.role = report
        self.append(report)

    def take(self) -> list[Report]:
        """What was reported since the last look."""
        taken = list(self)
        self.clear()
        return taken


@dataclass
class Actor:
    """A worker, its adapters and what it said."""

    worker: Worker
    boundaries: Boundaries
    rows: PostgresRows
    client: redis.Redis
    reports: Reports = field(default_factory=Reports)

    def at_rest(self) -> bool:
        """Whether it is active and its last step found nothing to do."""
        return isinstance(self.reports.role, Active) and isinstance(next(reversed(self.reports), None), Idle)

    def rest(self) -> None:
        """Step until there is nothing to do."""
        reported = len(self.reports)
        while not (self.at_rest() and len(self.reports) > reported):
            reported = len(self.reports)
            self.worker.step()

    def die(self) -> None:
        """Close what the process had open."""
        self.rows.close()
        self.client.close()


class Scene:
    """The servers of one test, and the workers on them; `applied` has their commits, in order."""

    def __init__(self, redis_url: str, postgres_dsn: str) -> None:
        self._redis_url, self._postgres_dsn = redis_url, postgres_dsn
        self._names = count(1)
        self.applied: list[Commit] = []
        self.promotions = 0
        self.now_ms = 1_790_000_000_999
        self.seconds = 0.0
        self._open = ExitStack()
        self.redis = self._open.enter_context(connect_redis(redis_url))
        self.redis.set_response_callback("XRANGE", lambda reply, **_: reply)
        self.pg = self._open.enter_context(psycopg.connect(postgres_dsn, autocommit=True))

    def close(self) -> None:
        """End everything that was opened."""
        self._open.close()

    def clear(self) -> None:
        """Make both servers empty again, once those who worked on them are gone."""
        self.wait_until_alone()
        self.applied.clear()
        self.redis.flushdb()
        self.pg.execute("DELETE FROM runtime_records")

    def actor(
        self,
        boundaries: Boundaries | None = None,
        *,
        job: Job = QUICK,
        lockless: bool = False,
        name: str = "worker",
        backoff: Backoff = Backoff(),  # noqa: B008  # frozen
    ) -> Actor:
        """Make a worker with an empty memory and connections of its own."""
        at = boundaries or Boundaries()
        client = self._open.enter_context(redis_connection.connect(self._redis_url))
        rows = PostgresRows(partial(self._session, name), table="runtime_records", lock_name="offset")
        self._open.callback(rows.close)
        ledger = FaultyLedger(RedisLedger(client, KEYS, dead_letter_limit=1000), client, at, self.applied)
        reports = Reports()
        worker = Worker(
            FaultyStream(RedisStream(client, "events", KEYS), client, at),
            ledger,
            FaultyRows(rows, at, lockless=lockless, promotions=lambda: self.promotions),
            job=job,
            observe=reports,
            name=f"{name} {next(self._names)}",
            clock_ms=lambda: self.now_ms,
            clock=lambda: self.seconds,
            backoff=backoff,
            roll=lambda: 0.0,
        )
        return Actor(worker, at, rows, client, reports)

    def wait_until_alone(self) -> None:
        """Wait until the server has noticed that sessions ended, and has freed their locks."""
        self.wait_until_alone_but_for(0)

    def wait_until_alone_but_for(self, others: int) -> None:
        """Wait until so many other sessions are left."""
        eventually(lambda: self._others() == others)

    def _others(self) -> int:
        count = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        row = self.pg.execute(count).fetchone()
        return int(row[0]) if row else 0

    def _session(self, name: str) -> Connection:
        connection = postgres_connection.connect(self._postgres_dsn, password=None, application_name=name)
        connection.execute(PATIENCE)
        return connection

    def append(self, entry_id: str, *fields: str) -> None:
        """Append an entry; names and values in turn."""
        self.redis.execute_command("XADD", "events", entry_id, *fields)

    def event(self, entry_id: str, game_id: str, event_type: str, occurred_at_ms: int = 1000) -> None:
        """Append a valid event."""
        at = str(occurred_at_ms)
        self.append(entry_id, "game_id", game_id, "event_type", event_type, "occurred_at_ms", at, "details", "{}")

    def offset(self) -> str | None:
        """The saved offset."""
        text: bytes | None = self.redis.get(KEYS.offset)
        return None if text is None else text.decode()

    def reset(self, offset: str) -> None:
        """Move the offset as an operator does."""
        self.redis.set(KEYS.offset, offset)

    def snapshots(self) -> list[Snapshot]:
        """All that Lobby was told, in order."""
        told = (_values(fields) for _, fields in self._streamed(KEYS.snapshots))
        return [Snapshot(game, int(turn), status, health, int(at)) for _, game, turn, status, health, _, at in told]

    def dead_letters(self) -> list[str]:
        """The source IDs of the dead letters, in order."""
        letters = [unpack(fields[-1]) for _, fields in self._streamed(KEYS.dead_letters)]
        return [letter.source_id.decode() for letter in letters if letter is not None]

    def _streamed(self, key: str) -> Sequence[tuple[bytes, list[bytes]]]:
        found: Sequence[tuple[bytes, list[bytes]]] = self.redis.execute_command("XRANGE", key, "-", "+")
        return found


def _values(fields: list[bytes]) -> list[str]:
    return [value.decode(errors="replace") for value in fields[1::2]]


def takes_over(actor: Actor) -> None:
    """Let it try until it has the lock."""

    def active() -> bool:
        actor.worker.step()
        return any(isinstance(report, Active) for report in actor.reports)

    eventually(active)


@contextmanager
def lock_held(scene: Scene) -> Iterator[None]:
    """Somebody else holds the leader lock."""
    scene.pg.execute("SELECT pg_advisory_lock(hashtextextended('offset', 0))")
    yield
    scene.pg.execute("SELECT pg_advisory_unlock_all()")
