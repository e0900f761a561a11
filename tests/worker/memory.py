"""Both servers in memory, for worker's tests that need thousands of runs: they can also go back in time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, NamedTuple, TypeVar

from gmhealth.core.commit_record import Server, unpack
from gmhealth.core.continuity import Break, StreamState
from gmhealth.core.entry import START, Entry, EntryId
from gmhealth.core.journal import Stored
from gmhealth.core.outage import Outage
from gmhealth.core.pause import Pause
from gmhealth.core.plan import NetEffect, Row, apply
from gmhealth.core.snapshot import Snapshot
from gmhealth.errors import Unavailable
from gmhealth.worker.ports import Commit, Lock, Meanwhile, Read, Saved, Wrote, nothing

T = TypeVar("T")
Gate = Callable[[str, Callable[[], T]], T]


@dataclass(frozen=True)
class Game:
    """A row; `moves` are the changes of status that other writers made."""

    status: str = "running"
    health: str = ""
    updated_at: str = ""
    moves: tuple[tuple[str, str], ...] = ()


class Published(NamedTuple):
    """A snapshot, and how many changes others had made to the row when it was read."""

    snapshot: Snapshot
    moves: int


FIRST = Server("1", "00000001", "a")


@dataclass
class Postgres:
    """Rows, the leader lock and a clock; `before` is what a replica has that lacks the last change of rows."""

    games: dict[str, Game]
    server: Server = FIRST
    micros: int = 0
    session: object | None = None
    before: dict[str, Game] | None = None
    lost: bool = False

    def now(self) -> str:
        self.micros += 1000
        return self.text(self.micros)

    @staticmethod
    def text(micros: int) -> str:
        return f"2026-01-01 00:{micros // 60_000_000:02}:{micros // 1_000_000 % 60:02}.{micros % 1_000_000:06}+00"

    def after(self, text: str) -> str:
        """The microsecond after `text`."""
        minutes, seconds, micros = int(text[14:16]), int(text[17:19]), int(text[20:26])
        return self.text((minutes * 60 + seconds) * 1_000_000 + micros + 1)

    def change(self, game_id: str, status: str) -> None:
        """Another writer changes a status."""
        self.before, game = dict(self.games), self.games[game_id]
        self.games[game_id] = Game(status, game.health, self.now(), (*game.moves, (game.status, status)))

    def end_sessions(self) -> None:
        self.session = None

    def fail_over(self) -> None:
        """A replica takes over, without the last change if it has not got it."""
        self._lose()
        self.server = replace_server(self.server, timeline=f"{int(self.server.timeline, 16) + 1:08X}")
        self.end_sessions()

    def crash(self) -> None:
        """It starts again without the last change, as with `synchronous_commit = off`."""
        self._lose()
        self.restart()

    def _lose(self) -> None:
        self.lost |= self.before is not None
        self.games, self.before = self.before or self.games, None

    def restart(self) -> None:
        """It starts again and has everything."""
        self.server = replace_server(self.server, started=self.server.started + "a")
        self.end_sessions()


def replace_server(server: Server, **fields: str) -> Server:
    return Server(**{"system": server.system, "timeline": server.timeline, "started": server.started, **fields})


@dataclass
class Contents:
    """All that Redis holds."""

    entries: dict[EntryId, Entry]
    offset: str | None = None
    packed: bytes = b""
    published: list[Published] = field(default_factory=list)
    letters: int = 0
    writes: list[bytes] = field(default_factory=list)

    def saved(self) -> Saved:
        record = unpack(self.packed)
        left = self.offset if self.offset is not None else record.offset if record is not None else ""
        return Saved(self.offset, self.packed, EntryId.parse(left) or START, record)


@dataclass
class Redis:
    """Its contents, and what a replica has that lacks the last commit; `pause` is a key that both have."""

    fenced: ClassVar[bool] = True
    now: Contents
    before: Contents | None = None
    added: int = 0
    promotions: int = 0
    pause: Pause | None = None

    def saved(self) -> Saved:
        return replace(self.now.saved(), pause=self.pause)

    def roll_back(self) -> None:
        """A replica without the last commit takes over; nothing sent to the old one arrives."""
        self.now, self.before = self.before or self.now, None
        self.promotions += 1

    def apply(self, commit: Commit, moves: dict[str, int]) -> Saved | None:
        now = self.now
        stale = now.packed != commit.fence.packed or (commit.fences_offset and now.offset != commit.fence.text)
        if stale and self.fenced:
            return now.saved()
        self.before = replace(now, published=list(now.published), writes=list(now.writes), entries=dict(now.entries))
        now.packed = commit.record.pack()
        now.offset = now.offset if commit.offset is None else str(commit.offset)
        now.published += [Published(each, moves.get(each.game_id, 0)) for each in commit.snapshots]
        now.letters += len(commit.dead_letters)
        now.writes += [commit.writes] if commit.writes else []
        return None


class Ports:
    """Stream, ledger and rows of one worker; every call goes through `gate`, which may fail it."""

    def __init__(self, redis: Redis, postgres: Postgres, gate: Gate[object]) -> None:
        self._redis, self._postgres, self._gate = redis, postgres, gate
        self._session: object | None = None
        self._moves: dict[str, int] = {}
        self._promotions = redis.promotions

    def _call(self, name: str, call: Callable[[], T]) -> T:
        answer: T = self._gate(name, lambda: self._connected(name, call))  # type: ignore[assignment]
        return answer

    def _connected(self, name: str, call: Callable[[], T]) -> T:
        """A promotion ends every connection to Redis, so nothing that was sent over one arrives."""
        if not name.startswith("rows.") and self._promotions != self._redis.promotions:
            self._promotions = self._redis.promotions
            raise Unavailable("the connection is gone", server="Redis", cause="gone")
        return call()

    # The stream.

    def read(self, after: EntryId, limit: int, block_ms: int) -> Read:
        return self._call("stream.read", lambda: self._read(after, limit))

    def read_range(self, after: EntryId, last: EntryId, limit: int) -> Read:
        return self._call("stream.read_range", lambda: self._read(after, limit, last))

    def _read(self, after: EntryId, limit: int, last: EntryId | None = None) -> Read:
        now = self._redis.now
        found = [each for at, each in now.entries.items() if at > after and (last is None or at <= last)]
        return Read(found[:limit], self._redis.saved(), after == START or after in now.entries)

    def state(self) -> StreamState:
        return self._call("stream.state", self._state)

    def _state(self) -> StreamState:
        ids = list(self._redis.now.entries)
        last = EntryId(self._redis.added, 0)
        return StreamState(True, len(ids), self._redis.added, ids[0] if ids else None, ids[-1] if ids else None, last)

    # The ledger.

    def saved(self) -> Saved:
        return self._call("ledger.saved", self._redis.saved)

    def commit(self, commit: Commit, meanwhile: Meanwhile = nothing) -> Saved | None:
        meanwhile()
        return self._call("ledger.commit", lambda: self._redis.apply(commit, self._moves))

    def recent_writes(self) -> Sequence[bytes]:
        return self._call("ledger.recent_writes", lambda: list(self._redis.now.writes))

    def note(self, broken: Break, at_ms: int) -> None:
        self._call("ledger.note", lambda: None)

    # The rows.

    @property
    def server(self) -> Server:
        return self._postgres.server

    def show_outage(self, outage: Outage | None) -> None:
        pass

    def close(self) -> None:
        if self._postgres.session is self._session:
            self._postgres.session = None
        self._session = None

    def _open(self) -> None:
        if self._session is None or self._postgres.session is not self._session:
            self._session = None
            raise Unavailable("the session is gone", server="PostgreSQL", cause="gone")

    def lock(self) -> Lock:
        return self._call("rows.lock", self._lock)

    def _lock(self) -> Lock:
        holder = self._postgres.session
        if self._session is not None and holder is self._session:
            return Lock.HELD
        if self._session is not None:
            self._open()
        if holder is not None:
            return Lock.REFUSED
        self._session = self._postgres.session = object()
        return Lock.TAKEN

    def holder(self) -> str | None:
        return self._call("rows.holder", lambda: "another")

    def now(self) -> str:
        return self._call("rows.now", lambda: self._in_session(self._postgres.now))

    def _in_session(self, call: Callable[[], T]) -> T:
        self._open()
        return call()

    def keep_alive(self) -> None:
        self._call("rows.keep_alive", self._open)

    def write(self, effects: Sequence[NetEffect], since: str, meanwhile: Meanwhile = nothing) -> Wrote:
        meanwhile()
        return self._call("rows.write", lambda: self._in_session(lambda: self._write(effects, since)))

    def _write(self, effects: Sequence[NetEffect], since: str) -> Wrote:
        pg = self._postgres
        pg.before = dict(pg.games)
        at = max(pg.now(), pg.after(since))
        rows = {game_id: Row(game.status, 1, game.health) for game_id, game in pg.games.items()}
        written = apply(effects, rows)
        for game_id, (_, row, _) in written.items():
            game = pg.games[game_id]
            later = max(at, pg.after(game.updated_at)) if game.updated_at else at
            pg.games[game_id] = Game(row.status, row.engine_health, later, game.moves)
            written[game_id] = written[game_id]._replace(updated_at="" if later == at else later)
            self._moves[game_id] = len(game.moves)
        return Wrote(at if written else "", written)

    def find(self, game_ids: Collection[str]) -> Sequence[Stored]:
        return self._call("rows.find", lambda: self._in_session(lambda: self._stored(set(game_ids))))

    def changed_since(self, at: str, after: Stored | None, limit: int) -> Sequence[Stored]:
        return self._call("rows.changed_since", lambda: self._in_session(lambda: self._changed(at, after, limit)))

    def _changed(self, at: str, after: Stored | None, limit: int) -> Sequence[Stored]:
        found = [
            row for row in self._stored(set(self._postgres.games)) if row.row.engine_health and row.updated_at > at
        ]
        found.sort(key=lambda row: (row.updated_at, row.game_id))
        past = None if after is None else (after.updated_at, after.game_id)
        return [row for row in found if past is None or (row.updated_at, row.game_id) > past][:limit]

    def _stored(self, game_ids: set[str]) -> list[Stored]:
        found = {game_id: game for game_id, game in self._postgres.games.items() if game_id in game_ids}
        self._moves.update({game_id: len(game.moves) for game_id, game in found.items()})
        return [
            Stored(game_id, Row(game.status, 1, game.health), game.updated_at, 1) for game_id, game in found.items()
        ]
