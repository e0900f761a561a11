"""Adapters that fail at a chosen call, around the real ones: before it is sent, or when only its answer is lost."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from enum import Enum
from typing import NamedTuple, TypeVar

import redis
from msgspec.structs import replace

from gmhealth.adapters.postgres.rows import PostgresRows
from gmhealth.core.commit_record import Server
from gmhealth.core.continuity import Break, StreamState
from gmhealth.core.entry import EntryId
from gmhealth.core.journal import Stored
from gmhealth.core.outage import Outage
from gmhealth.core.plan import NetEffect
from gmhealth.errors import Unavailable
from gmhealth.worker.ports import Commit, Dropped, Ledger, Lock, Meanwhile, Read, Saved, Stream, Wrote, nothing

T = TypeVar("T")


class Crash(Exception):
    """The process dies here: nothing of its memory is left, and its connections are closed."""


class When(Enum):
    """On which side of a call."""

    BEFORE = "before"
    AFTER = "after"


class Fault(NamedTuple):
    """What happens at the `at`-th call, counted from 1."""

    at: int
    when: When
    crash: bool


class Crossing(NamedTuple):
    """A side of a port call: its number from 1, `port.method`, and whether it has been carried out."""

    number: int
    name: str
    when: When


def ignore(_crossing: Crossing) -> None:
    """Look at nothing."""


def once_before(name: str, act: Callable[[], object]) -> Callable[[Crossing], None]:
    """A visitor that acts right before the first call of this name."""
    waiting = [act]

    def visit(crossing: Crossing) -> None:
        if waiting and (crossing.name, crossing.when) == (name, When.BEFORE):
            waiting.pop()()

    return visit


def raising(error: Exception, name: str, when: When) -> Callable[[Crossing], None]:
    """A visitor that raises on one side of the first call of this name."""
    waiting = [error]

    def visit(crossing: Crossing) -> None:
        if waiting and (crossing.name, crossing.when) == (name, when):
            raise waiting.pop()

    return visit


class Boundaries:
    """Counts the calls over all ports of a worker; `visit` is called on both sides of each, and one may fail.

    With more than `most` calls a worker is taken for one that goes on without end.
    """

    def __init__(
        self, fault: Fault | None = None, visit: Callable[[Crossing], None] = ignore, *, most: int = 2_000
    ) -> None:
        self.fault, self.visit, self.most = fault, visit, most
        self.names: list[str] = []

    def cross(self, name: str, call: Callable[[], T], disconnect: Callable[[], object]) -> T:
        """Make a call, unless it is the one that fails; a failure closes the connection."""
        assert len(self.names) < self.most, f"calls without end, the last of them {self.names[-8:]}"
        self.names.append(name)
        number = len(self.names)
        self.visit(Crossing(number, name, When.BEFORE))
        self._fail(Fault(number, When.BEFORE, False), disconnect)
        answer = call()
        self.visit(Crossing(number, name, When.AFTER))
        self._fail(Fault(number, When.AFTER, False), disconnect)
        return answer

    def _fail(self, here: Fault, disconnect: Callable[[], object]) -> None:
        if self.fault is not None and self.fault[:2] == here[:2]:
            disconnect()
            if self.fault.crash:
                raise Crash
            raise Unavailable(f"made to fail {here.when.value} call {here.at}, {self.names[-1]}")


class FaultyStream:
    """A `Stream` behind boundaries."""

    def __init__(self, real: Stream, client: redis.Redis, boundaries: Boundaries) -> None:
        self._real, self._disconnect, self._at = real, client.connection_pool.disconnect, boundaries

    def read(self, after: EntryId, limit: int, block_ms: int) -> Read:
        return self._at.cross("stream.read", lambda: self._real.read(after, limit, block_ms), self._disconnect)

    def read_range(self, after: EntryId, last: EntryId, limit: int) -> Read:
        return self._at.cross("stream.read_range", lambda: self._real.read_range(after, last, limit), self._disconnect)

    def state(self) -> StreamState:
        return self._at.cross("stream.state", self._real.state, self._disconnect)


class FaultyLedger:
    """A `Ledger` behind boundaries; puts the commits that were applied into `applied`."""

    def __init__(self, real: Ledger, client: redis.Redis, boundaries: Boundaries, applied: list[Commit]) -> None:
        self._real, self._disconnect, self._at = real, client.connection_pool.disconnect, boundaries
        self._applied = applied

    def saved(self) -> Saved:
        return self._at.cross("ledger.saved", self._real.saved, self._disconnect)

    def commit(self, commit: Commit, meanwhile: Meanwhile = nothing) -> Saved | Dropped | None:
        return self._at.cross("ledger.commit", lambda: self._commit(commit, meanwhile), self._disconnect)

    def recent_writes(self) -> Sequence[bytes]:
        return self._at.cross("ledger.recent_writes", self._real.recent_writes, self._disconnect)

    def note(self, broken: Break, at_ms: int) -> None:
        return self._at.cross("ledger.note", lambda: self._real.note(broken, at_ms), self._disconnect)

    def show_outage(self, outage: Outage | None) -> None:
        self._real.show_outage(outage)

    def _commit(self, commit: Commit, meanwhile: Meanwhile) -> Saved | Dropped | None:
        outcome = self._real.commit(commit, meanwhile)
        if not isinstance(outcome, Saved):
            self._applied.append(commit)
        return outcome


class FaultyRows:
    """A `Rows` behind boundaries. With `lockless`, every worker believes that it holds the lock.

    `promotions` tells how often the server has been promoted, as a play has it.
    """

    def __init__(
        self,
        real: PostgresRows,
        boundaries: Boundaries,
        *,
        lockless: bool = False,
        promotions: Callable[[], int] = lambda: 0,
    ) -> None:
        self._real, self._at, self._promotions = real, boundaries, promotions
        self._lock = self._believe if lockless else real.lock
        self._believing = False

    @property
    def server(self) -> Server:
        server = self._real.server
        return replace(server, timeline=f"{int(server.timeline or '1', 16) + self._promotions():08X}")

    def lock(self) -> Lock:
        return self._at.cross("rows.lock", self._lock, self._disconnect)

    def holder(self) -> str | None:
        return self._at.cross("rows.holder", self._real.holder, self._disconnect)

    def close(self) -> None:
        self._disconnect()

    def now(self) -> str:
        return self._at.cross("rows.now", self._real.now, self._disconnect)

    def write(self, effects: Sequence[NetEffect], since: str, meanwhile: Meanwhile = nothing) -> Wrote:
        return self._at.cross("rows.write", lambda: self._real.write(effects, since, meanwhile), self._disconnect)

    def find(self, game_ids: Collection[str]) -> Sequence[Stored]:
        return self._at.cross("rows.find", lambda: self._real.find(game_ids), self._disconnect)

    def changed_since(self, at: str, after: Stored | None, limit: int) -> Sequence[Stored]:
        return self._at.cross(
            "rows.changed_since", lambda: self._real.changed_since(at, after, limit), self._disconnect
        )

    def show_outage(self, outage: Outage | None) -> None:
        self._real.show_outage(outage)

    def keep_alive(self) -> None:
        self._at.cross("rows.keep_alive", self._real.keep_alive, self._disconnect)

    def _believe(self) -> Lock:
        believing, self._believing = self._believing, True
        return Lock.HELD if believing else Lock.TAKEN

    def _disconnect(self) -> None:
        self._real.close()
        self._believing = False
