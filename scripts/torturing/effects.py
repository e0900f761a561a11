"""What really happened on Redis, in order, read from its append-only file: effects, whoever asked for them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

from gmhealth.core.entry import EntryId
from scripts.torturing.contract import CommitRecord, commit_record_of
from scripts.torturing.feed import STREAM
from scripts.torturing.wire import RedisRequests

OFFSET: Final = b"gamemaster:stream_offsets:health_events"
RECORD: Final = b"gamemaster:commit_mark:health_events"
LOBBY: Final = b"gm:lobby_events"
DEAD: Final = b"gamemaster:dead_letters:health_events"
AUDIT: Final = b"gamemaster:offset_audit:health_events"
JOURNAL: Final = b"gamemaster:journal:health_events"
WRITES: Final = b"gamemaster:writes:health_events"
LAST_BREAK: Final = b"gamemaster:last_break:health_events"
PAUSE: Final = b"gamemaster:pause:health_events"
COPIED: Final = b"torture:copied"
WENT_BACK: Final = b"torture:went_back"
"""Keys of the harness: the number of the copy that was made of all other keys, or that they were set back to."""
REFUSING: Final = b"torture:refusing"
"""Another one: the games whose rows PostgreSQL refuses from now on, or may have begun to refuse no more."""

Command: TypeAlias = tuple[bytes, ...]
Fields: TypeAlias = dict[bytes, bytes]


class Fed(NamedTuple):
    """An entry was appended for the consumer to read."""

    entry_id: EntryId
    parts: tuple[bytes, ...]


class Trimmed(NamedTuple):
    """The stream was trimmed to its newest `left` entries."""

    left: int


class Deleted(NamedTuple):
    """The offset or the commit record was deleted."""

    key: bytes


class Copied(NamedTuple):
    """A copy was made of all that Redis holds."""

    number: int


class WentBack(NamedTuple):
    """Redis holds again what it held when the copy was made."""

    number: int


class Refusing(NamedTuple):
    """PostgreSQL may refuse the rows of these games from now on, and of no others."""

    games: frozenset[str]


class Noted(NamedTuple):
    """A consumer noted a break of the stream for those who look later."""

    kind: str
    facts: dict[str, Any]


class Sent(NamedTuple):
    """A snapshot, as Lobby reads it."""

    game_id: str
    turn: int
    status: str
    summary: str
    at: int


@dataclass(slots=True)
class Step:
    """What one transaction on Redis did; without a commit record it was not a consumer's."""

    record: CommitRecord | None = None
    offset: EntryId | None = None
    sent: list[Sent] = field(default_factory=list)
    dead: list[Fields] = field(default_factory=list)
    audit: Fields | None = None
    journal: Fields | None = None
    writes: Fields | None = None


Effect: TypeAlias = Fed | Trimmed | Deleted | Copied | WentBack | Refusing | Noted | Step


class Effects:
    """Reads the file on from where it stopped the last time."""

    def __init__(self, path: Path) -> None:
        self._path, self._at = path, 0

    def read(self) -> Iterator[Effect]:
        """Give what has happened since."""
        with self._path.open("rb") as file:
            file.seek(self._at)
            data = file.read()
        self._at += len(data)
        transaction: list[Command] | None = None
        for request in RedisRequests().feed(data):
            name = request.arguments[0].upper()
            if name == b"MULTI":
                transaction = []
            elif name == b"EXEC":
                yield from effects_of(transaction or [])
                transaction = None
            elif transaction is None:
                yield from effects_of([request.arguments])
            else:
                transaction.append(request.arguments)


def effects_of(commands: Sequence[Command]) -> Iterator[Effect]:
    """Give what one transaction did."""
    for command in commands:
        if command[:2] == (b"SET", WENT_BACK):
            yield WentBack(int(command[2]))
            return
    step = Step()
    for command in commands:
        effect = _alone(command)
        if effect is None:
            _note(step, command)
        else:
            yield effect
    if step != Step():
        yield step


def _alone(command: Command) -> Effect | None:
    """Read a command that is an effect by itself."""
    name, key = command[0].upper(), command[1] if len(command) > 1 else b""
    if (name, key) == (b"XADD", STREAM.encode()):
        return Fed(_entry_id(command[2]), command[3:])
    if (name, key) == (b"XTRIM", STREAM.encode()):
        return Trimmed(int(command[-1]))
    if name in (b"DEL", b"UNLINK") and key in (OFFSET, RECORD):
        return Deleted(key)
    if (name, key) == (b"SET", COPIED):
        return Copied(int(command[2]))
    if (name, key) == (b"SET", REFUSING):
        return Refusing(frozenset(command[2].decode().split()))
    if (name, key) == (b"SET", LAST_BREAK):
        facts = json.loads(command[2])
        return Noted(facts.pop("kind"), facts)
    return None


def _note(step: Step, command: Command) -> None:
    name, key = command[0].upper(), command[1] if len(command) > 1 else b""
    if (name, key) == (b"SET", OFFSET):
        step.offset = _entry_id(command[2])
    elif (name, key) == (b"SET", RECORD):
        step.record = commit_record_of(command[2])
    elif name == b"XADD" and key in (LOBBY, DEAD, AUDIT, JOURNAL, WRITES):
        _append(step, key, _fields(command))


def _append(step: Step, key: bytes, fields: Fields) -> None:
    if key == LOBBY:
        step.sent.append(_sent(fields))
    elif key == DEAD:
        step.dead.append(fields)
    elif key == AUDIT:
        step.audit = fields
    elif key == JOURNAL:
        step.journal = fields
    else:
        step.writes = fields


def _entry_id(text: bytes) -> EntryId:
    found = EntryId.parse(text)
    if found is None:
        raise ValueError(f"{text!r} is no entry ID")
    return found


def _fields(command: Command) -> Fields:
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
