"""Both protocols as far as a proxy has to know them: where a message ends, and which step of the worker it is."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

GREET: Final = "greet"
SESSION: Final = "session"
"""The kinds of whatever only makes a connection to Redis, or to PostgreSQL, usable."""
REDIS_KINDS: Final = {
    "XREAD": "read",
    "EVALSHA": "publish",
    "EVAL": "publish",
    "GET": "offset",
    "XRANGE": "range",
    "XREVRANGE": "range",
    "XINFO": "state",
}
POSTGRES_KINDS: Final = {
    b"pg_try_advisory_lock": "lock",
    b"pg_locks": "holder",
    b"UPDATE": "write",
    b"SELECT game_id": "load",
    b"SELECT now()": "now",
    b"SELECT 1": "alive",
}
CANCEL_REQUEST: Final = 80877102


class Request(NamedTuple):
    """What a client waits for an answer to; `answered` is False for a message that gets none."""

    kind: str
    raw: bytes
    arguments: tuple[bytes, ...] = ()
    answered: bool = True


class Reply(NamedTuple):
    """A whole answer, or one that nobody asked for; `error` if the server refused."""

    raw: bytes
    error: bool = False
    asked: bool = True


class RedisRequests:
    """Cuts what a Redis client sends into commands."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[Request]:
        """Take what has come; give the commands that are complete by now."""
        self._buffer += data
        found = []
        while (end := end_of_reply(self._buffer, 0)) is not None:
            raw, self._buffer = self._buffer[:end], self._buffer[end:]
            arguments = _strings(raw)
            found.append(Request(REDIS_KINDS.get(arguments[0].decode().upper(), GREET), raw, arguments))
        return found


class RedisReplies:
    """Cuts what a Redis server sends into replies."""

    def __init__(self) -> None:
        self.rest = b""

    def feed(self, data: bytes) -> list[Reply]:
        """Take what has come; give the replies that are complete by now."""
        self.rest += data
        found = []
        while (end := end_of_reply(self.rest, 0)) is not None:
            raw, self.rest = self.rest[:end], self.rest[end:]
            found.append(Reply(raw, error=raw.startswith(b"-")))
        return found


def end_of_reply(data: bytes, at: int) -> int | None:
    """Find where the RESP2 value that starts at `at` ends; None while it is not all there."""
    line = data.find(b"\r\n", at)
    if line < 0:
        return None
    kind, end = data[at : at + 1], line + 2
    if kind not in b"*$":
        return end
    size = int(data[at + 1 : line])
    if kind == b"$":
        end += max(size, -2) + 2 if size >= 0 else 0
        return end if end <= len(data) else None
    for _ in range(max(size, 0)):
        inner = end_of_reply(data, end)
        if inner is None:
            return None
        end = inner
    return end


def _strings(raw: bytes) -> tuple[bytes, ...]:
    found, at = [], raw.index(b"\r\n") + 2
    while at < len(raw):
        line = raw.index(b"\r\n", at)
        size = int(raw[at + 1 : line])
        found.append(raw[line + 2 : line + 2 + size])
        at = line + 4 + size
    return tuple(found)


class PostgresRequests:
    """Cuts what a PostgreSQL client sends into what it waits for an answer to."""

    def __init__(self) -> None:
        self._buffer, self._begun, self._kind = b"", b"", SESSION
        self._started = False
        self._prepared: dict[bytes, str] = {}

    def feed(self, data: bytes) -> list[Request]:
        """Take what has come; give the requests that are complete by now."""
        self._buffer += data
        found = []
        while (message := self._next()) is not None:
            self._begun += message
            if self._ends(message):
                answered = message[:1] != b"X" and message[4:8] != struct.pack("!i", CANCEL_REQUEST)
                found.append(Request(self._kind, self._begun, answered=answered))
                self._begun, self._kind = b"", SESSION
        return found

    def _next(self) -> bytes | None:
        at = 1 if self._started else 0
        if len(self._buffer) < at + 4:
            return None
        end = at + int(struct.unpack_from("!i", self._buffer, at)[0])
        if len(self._buffer) < end:
            return None
        message, self._buffer = self._buffer[:end], self._buffer[end:]
        return message

    def _ends(self, message: bytes) -> bool:
        if not self._started:
            self._started = True
            return True
        kind, body = message[:1], message[5:]
        if kind == b"P":
            name, query = body.split(b"\0", 2)[:2]
            self._kind = self._prepared[name] = kind_of(query)
        elif kind == b"B":
            self._kind = self._prepared.get(body.split(b"\0", 2)[1], SESSION)
        elif kind == b"Q":
            self._kind = kind_of(body)
        return kind in b"QSX"


def kind_of(query: bytes) -> str:
    """Say which step of the worker a statement is."""
    return next((kind for words, kind in POSTGRES_KINDS.items() if words in query), SESSION)


class PostgresReplies:
    """Cuts what a PostgreSQL server sends into answers, each up to ReadyForQuery."""

    def __init__(self) -> None:
        self.rest, self._begun, self._error = b"", b"", False
        self.waiting = 0  # requests without an answer so far; the proxy adds them

    def feed(self, data: bytes) -> list[Reply]:
        """Take what has come; give what can be handed on by now."""
        self.rest += data
        found = []
        while len(self.rest) >= 5 and len(self.rest) >= (end := 1 + int(struct.unpack_from("!i", self.rest, 1)[0])):
            message, self.rest = self.rest[:end], self.rest[end:]
            self._begun += message
            self._error = self._error or message[:1] == b"E"
            ready = message[:1] == b"Z"
            if ready or not self.waiting:
                found.append(Reply(self._begun, self._error, ready))
                self.waiting -= ready
                self._begun, self._error = b"", False
        return found

    def unfinished(self) -> bytes:
        """Give what has come of an answer that will not end any more."""
        return self._begun + self.rest
