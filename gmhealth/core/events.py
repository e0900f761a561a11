"""From stream entry to health event: total, so that no input can stop the stream (design 2.1, I7)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Final, NamedTuple

from msgspec import Struct

from gmhealth.core.entry import Entry
from gmhealth.core.packed_letter import pack
from gmhealth.core.rules import EventType

MAX_GAME_ID_BYTES: Final = 256
MAX_OCCURRED_AT_MS: Final = 253_402_300_799_999
"""The last millisecond of the year 9999: what follows no calendar can show."""


class Reason(Enum):
    """Why an entry is a dead letter, whose text it is: no health event, or one of a game whose row is refused.

    No `StrEnum`, so that `isinstance(found, str)` tells it from a game's ID: to ask `isinstance(found, Reason)` takes
    several times as long, as the metaclass of an enum is asked as well.
    """

    DUPLICATE_FIELD = "duplicate_field"
    GAME_ID_MISSING = "game_id_missing"
    GAME_ID_BLANK = "game_id_blank"
    GAME_ID_TOO_LONG = "game_id_too_long"
    GAME_ID_NOT_UTF8 = "game_id_not_utf8"
    GAME_ID_HAS_NUL = "game_id_has_nul"
    EVENT_TYPE_MISSING = "event_type_missing"
    EVENT_TYPE_UNKNOWN = "event_type_unknown"
    OCCURRED_AT_MISSING = "occurred_at_ms_missing"
    OCCURRED_AT_NOT_A_NUMBER = "occurred_at_ms_not_a_number"
    OCCURRED_AT_OUT_OF_RANGE = "occurred_at_ms_out_of_range"
    ROW_REFUSED = "row_refused"


class HealthEvent(Struct, frozen=True, gc=False):
    """A decoded event. One is made per entry: a named tuple takes five times as long, a frozen dataclass ten."""

    entry_id: bytes
    game_id: str
    type: EventType
    occurred_at_ms: int


class InvalidEntry(Struct, frozen=True, gc=False):
    """An entry that goes to the dead letters, as it is no health event or its game's row is refused, and why.

    `packed` is its dead letter (`core.packed_letter`), which keeps it whole.
    """

    entry_id: bytes
    reason: Reason
    packed: bytes


class Decoded(NamedTuple):
    """What a batch's entries mean, each kind in stream order."""

    events: Sequence[HealthEvent]
    invalid: Sequence[InvalidEntry]


_TYPES: Final[Mapping[bytes, EventType]] = {member.encode(): member for member in EventType}
_CONTRACT_NAMES: Final = [b"game_id", b"container_id", b"event_type", b"occurred_at_ms", b"details"]


def decode(entry: Entry) -> HealthEvent | InvalidEntry:
    """Read one entry; whatever the bytes are, the result is a value and nothing is raised.

    `container_id` and `details` are carried for display only and are never a reason to refuse (design 2.1).
    """
    entry_id, fields = entry
    # The contract's own order needs no search; it is what nearly every entry has.
    values = (fields[1], fields[5], fields[7]) if fields[::2] == _CONTRACT_NAMES else _values(fields)
    if not isinstance(values, tuple):
        return dead_letter(entry, values)
    raw_game_id, raw_type, raw_time = values
    game_id = _game_id(raw_game_id)
    if not isinstance(game_id, str):
        return dead_letter(entry, game_id)
    event_type = _TYPES.get(raw_type)
    if event_type is None:
        return dead_letter(entry, Reason.EVENT_TYPE_UNKNOWN)
    occurred_at_ms = _occurred_at(raw_time)
    if not isinstance(occurred_at_ms, int):
        return dead_letter(entry, occurred_at_ms)
    return HealthEvent(entry_id, game_id, event_type, occurred_at_ms)


def dead_letter(entry: Entry, reason: Reason, detail: str = "") -> InvalidEntry:
    """Make the dead letter of an entry; `detail` is what is known beyond the reason."""
    # Packed here, while Redis is busy with the batch before: the commit, which all of Redis waits for, is the shorter.
    entry_id, fields = entry
    return InvalidEntry(entry_id, reason, pack(entry_id, reason.value, fields, detail))


def decode_all(entries: Iterable[Entry]) -> Decoded:
    """Read a batch."""
    events: list[HealthEvent] = []
    invalid: list[InvalidEntry] = []
    for found in map(decode, entries):
        if isinstance(found, InvalidEntry):
            invalid.append(found)
        else:
            events.append(found)
    return Decoded(events, invalid)


def _values(fields: Sequence[bytes]) -> tuple[bytes, bytes, bytes] | Reason:
    """Find the values of an entry whose fields come in another order, or are others."""
    parts = iter(fields)
    named = dict(zip(parts, parts, strict=False))
    if 2 * len(named) != len(fields):
        return Reason.DUPLICATE_FIELD
    game_id, event_type, occurred_at_ms = named.get(b"game_id"), named.get(b"event_type"), named.get(b"occurred_at_ms")
    if game_id is None:
        return Reason.GAME_ID_MISSING
    if event_type is None:
        return Reason.EVENT_TYPE_MISSING
    if occurred_at_ms is None:
        return Reason.OCCURRED_AT_MISSING
    return game_id, event_type, occurred_at_ms


def _game_id(raw: bytes) -> str | Reason:
    if len(raw) > MAX_GAME_ID_BYTES:
        return Reason.GAME_ID_TOO_LONG
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return Reason.GAME_ID_NOT_UTF8
    if "\0" in text:
        return Reason.GAME_ID_HAS_NUL
    return Reason.GAME_ID_BLANK if not text or text.isspace() else text


def _occurred_at(raw: bytes) -> int | Reason:
    if not raw.isdigit():
        negative = raw[:1] == b"-" and raw[1:].isdigit()
        return Reason.OCCURRED_AT_OUT_OF_RANGE if negative else Reason.OCCURRED_AT_NOT_A_NUMBER
    # Length first: int() of a very long number is slow and, past 4300 digits, an error.
    value = int(raw) if len(raw) <= 18 else MAX_OCCURRED_AT_MS + 1
    return value if value <= MAX_OCCURRED_AT_MS else Reason.OCCURRED_AT_OUT_OF_RANGE
