"""What really happened on Redis, in order, read from its append-only file: effects, whoever asked for them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from gmhealth.core.entry import EntryId
from gmhealth.core.mark import NOT_READ, READ
from scripts.torturing.feed import STREAM
from scripts.torturing.wire import RedisRequests

OFFSET: Final = b"gamemaster:stream_offsets:health_events"
MARK: Final = b"gamemaster:commit_mark:health_events"
LOBBY: Final = b"gm:lobby_events"
DEAD: Final = b"gamemaster:dead_letters:health_events"
AUDIT: Final = b"gamemaster:offset_audit:health_events"

Fields = dict[bytes, bytes]


class Fed(NamedTuple):
    """An entry was appended for the consumer to read."""

    entry_id: EntryId
    parts: tuple[bytes, ...]


class Sent(NamedTuple):
    """A snapshot, as Lobby reads it."""

    game_id: str
    turn: int
    status: str
    summary: str
    at: int


@dataclass(slots=True)
class Step:
    """What one transaction on Redis did; a mark of None was not set by a consumer."""

    mark: str | None = None
    offset: EntryId | None = None
    sent: list[Sent] = field(default_factory=list)
    dead: list[Fields] = field(default_factory=list)
    audit: Fields | None = None

    @property
    def worker(self) -> str:
        """Who committed this; its name has the process's ID in it."""
        return re.split(f"[{READ}{NOT_READ}]", self.mark or "")[0]


class Effects:
    """Reads the file on from where it stopped the last time."""

    def __init__(self, path: Path) -> None:
        self._path, self._at = path, 0

    def read(self) -> Iterator[Fed | Step]:
        """Give what has happened since."""
        with self._path.open("rb") as file:
            file.seek(self._at)
            data = file.read()
        self._at += len(data)
        transaction: list[tuple[bytes, ...]] | None = None
        for request in RedisRequests().feed(data):
            name = request.arguments[0].upper()
            if name == b"MULTI":
                transaction = []
            elif name == b"EXEC":
                yield from _steps(transaction or [])
                transaction = None
            elif transaction is None:
                yield from _steps([request.arguments])
            else:
                transaction.append(request.arguments)


def _steps(commands: list[tuple[bytes, ...]]) -> Iterator[Fed | Step]:
    step = Step()
    for command in commands:
        if command[:2] == (b"XADD", STREAM.encode()):
            yield Fed(_entry_id(command[2]), command[3:])
        else:
            _note(step, command)
    if step != Step():
        yield step


def _note(step: Step, command: tuple[bytes, ...]) -> None:
    name, key = command[0].upper(), command[1]
    if (name, key) == (b"SET", OFFSET):
        step.offset = _entry_id(command[2])
    elif (name, key) == (b"SET", MARK):
        step.mark = command[2].decode().partition(" ")[2].partition("\t")[0]
    elif name == b"XADD" and key in (LOBBY, DEAD, AUDIT):
        fields = _fields(command)
        if key == LOBBY:
            step.sent.append(_sent(fields))
        elif key == DEAD:
            step.dead.append(fields)
        else:
            step.audit = fields


def _entry_id(text: bytes) -> EntryId:
    found = EntryId.parse(text)
    if found is None:
        raise ValueError(f"{text!r} is no entry ID")
    return found


def _fields(command: tuple[bytes, ...]) -> Fields:
    """The names and values of an XADD, behind its options and the ID."""
    at = next(at for at in range(2, len(command)) if command[at][:1].isdigit() and b"-" in command[at])
    rest = command[at + 1 :]
    return dict(zip(rest[::2], rest[1::2], strict=True))


def _sent(fields: Fields) -> Sent:
    text = {name.decode(): value.decode() for name, value in fields.items()}
    expected = {"event_type": "runtime_snapshot_update", "player_turn_stats": "[]"}
    if {name: text[name] for name in expected} != expected:
        raise ValueError(f"a snapshot of another form: {text}")
    return Sent(
        text["game_id"],
        int(text["current_turn"]),
        text["runtime_status"],
        text["engine_health_summary"],
        int(text["occurred_at_ms"]),
    )
