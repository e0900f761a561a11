"""Decoding: total, exact on what is valid, and with one reason for what is not (design 2.1, I7)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmhealth.core.entry import Entry
from gmhealth.core.events import (
    MAX_GAME_ID_BYTES,
    MAX_OCCURRED_AT_MS,
    HealthEvent,
    InvalidEntry,
    Reason,
    decode,
    decode_all,
)
from gmhealth.core.packed_letter import Letter, unpack
from gmhealth.core.rules import EventType
from tests.strategies import arbitrary_entries, valid_entries

VALID = {
    b"game_id": b"game-01HZ",
    b"container_id": b"e993cc011cdd",
    b"event_type": b"probe_failed",
    b"occurred_at_ms": b"1790000003359",
    b"details": b"{}",
}


def entry(**changes: bytes | None) -> Entry:
    """A valid entry with fields changed, or left out where the change is None."""
    named = {**VALID, **{name.encode(): value for name, value in changes.items()}}
    return b"1-1", [part for name, value in named.items() if value is not None for part in (name, value)]


def reason(found: Entry) -> Reason | None:
    decoded = decode(found)
    return decoded.reason if isinstance(decoded, InvalidEntry) else None


@given(valid_entries())
def test_a_valid_entry_is_read_exactly(pair: tuple[Entry, HealthEvent]) -> None:
    found, event = pair
    assert decode(found) == event


@given(arbitrary_entries)
def test_no_entry_raises_and_none_is_half_read(found: Entry) -> None:
    decoded = decode(found)
    if isinstance(decoded, InvalidEntry):
        assert unpack(decoded.packed) == Letter(found[0], decoded.reason.value, list(found[1]))
        return
    game_id, event_type, occurred_at_ms = decoded.game_id, decoded.type, decoded.occurred_at_ms
    fields = dict(zip(found[1][::2], found[1][1::2], strict=True))
    assert (decoded.entry_id, game_id.encode()) == (found[0], fields[b"game_id"])
    assert event_type.encode() == fields[b"event_type"]
    assert occurred_at_ms == int(fields[b"occurred_at_ms"])


@given(st.lists(valid_entries().map(lambda pair: pair[0]) | arbitrary_entries))
def test_a_batch_is_sorted_into_events_and_invalid_entries_in_stream_order(batch: list[Entry]) -> None:
    each = [decode(found) for found in batch]
    events, invalid = decode_all(batch)
    assert events == [found for found in each if isinstance(found, HealthEvent)]
    assert invalid == [found for found in each if isinstance(found, InvalidEntry)]


@given(arbitrary_entries)
def test_a_decoded_event_is_data_that_the_servers_take(found: Entry) -> None:
    decoded = decode(found)
    if isinstance(decoded, HealthEvent):
        assert decoded.game_id.strip()
        assert "\0" not in decoded.game_id
        assert 0 <= decoded.occurred_at_ms <= MAX_OCCURRED_AT_MS


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"game_id": None}, Reason.GAME_ID_MISSING),
        ({"game_id": b""}, Reason.GAME_ID_BLANK),
        ({"game_id": b" \t\r\n"}, Reason.GAME_ID_BLANK),
        ({"game_id": "\u00a0\u2003\u3000\u2028\x85".encode()}, Reason.GAME_ID_BLANK),
        ({"game_id": b"g" * (MAX_GAME_ID_BYTES + 1)}, Reason.GAME_ID_TOO_LONG),
        ({"game_id": "é".encode() * (MAX_GAME_ID_BYTES // 2) + b"g"}, Reason.GAME_ID_TOO_LONG),
        ({"game_id": b"g" * 50_000_000}, Reason.GAME_ID_TOO_LONG),
        ({"game_id": b"game-\xff"}, Reason.GAME_ID_NOT_UTF8),
        ({"game_id": b"game-\xed\xa0\x80"}, Reason.GAME_ID_NOT_UTF8),
        ({"game_id": b"game-\xc0\x80"}, Reason.GAME_ID_NOT_UTF8),
        ({"game_id": b"game\0"}, Reason.GAME_ID_HAS_NUL),
        ({"game_id": b"\0"}, Reason.GAME_ID_HAS_NUL),
        ({"event_type": None}, Reason.EVENT_TYPE_MISSING),
        ({"event_type": b""}, Reason.EVENT_TYPE_UNKNOWN),
        ({"event_type": b"container_paused"}, Reason.EVENT_TYPE_UNKNOWN),
        ({"event_type": b"Probe_Failed"}, Reason.EVENT_TYPE_UNKNOWN),
        ({"event_type": b"probe_failed "}, Reason.EVENT_TYPE_UNKNOWN),
        ({"event_type": b"\xff"}, Reason.EVENT_TYPE_UNKNOWN),
        ({"occurred_at_ms": None}, Reason.OCCURRED_AT_MISSING),
        ({"occurred_at_ms": b""}, Reason.OCCURRED_AT_NOT_A_NUMBER),
        ({"occurred_at_ms": b"soon"}, Reason.OCCURRED_AT_NOT_A_NUMBER),
        ({"occurred_at_ms": b"1.5"}, Reason.OCCURRED_AT_NOT_A_NUMBER),
        ({"occurred_at_ms": b" 1"}, Reason.OCCURRED_AT_NOT_A_NUMBER),
        ({"occurred_at_ms": b"+1"}, Reason.OCCURRED_AT_NOT_A_NUMBER),
        ({"occurred_at_ms": b"1_000"}, Reason.OCCURRED_AT_NOT_A_NUMBER),
        ({"occurred_at_ms": b"--1"}, Reason.OCCURRED_AT_NOT_A_NUMBER),
        ({"occurred_at_ms": "\u0661".encode()}, Reason.OCCURRED_AT_NOT_A_NUMBER),
        ({"occurred_at_ms": b"-1"}, Reason.OCCURRED_AT_OUT_OF_RANGE),
        ({"occurred_at_ms": b"%d" % (MAX_OCCURRED_AT_MS + 1)}, Reason.OCCURRED_AT_OUT_OF_RANGE),
        ({"occurred_at_ms": b"9" * 10_000}, Reason.OCCURRED_AT_OUT_OF_RANGE),
    ],
)
def test_each_fault_has_its_reason(changes: dict[str, bytes | None], expected: Reason) -> None:
    assert reason(entry(**changes)) is expected


def test_a_repeated_field_is_ambiguous_even_if_both_say_the_same() -> None:
    entry_id, fields = entry()
    assert reason((entry_id, [*fields, b"game_id", b"game-01HZ"])) is Reason.DUPLICATE_FIELD
    assert reason((entry_id, [*fields, b"details", b"{}"])) is Reason.DUPLICATE_FIELD


def test_a_missing_field_is_named_before_a_bad_one_and_else_the_first() -> None:
    assert reason(entry(game_id=b"", event_type=None, occurred_at_ms=b"soon")) is Reason.EVENT_TYPE_MISSING
    assert reason(entry(game_id=b"", occurred_at_ms=b"soon")) is Reason.GAME_ID_BLANK
    assert reason((b"1-1", [])) is Reason.GAME_ID_MISSING


def test_an_odd_number_of_fields_is_refused() -> None:
    entry_id, fields = entry()
    assert reason((entry_id, [*fields, b"more"])) is not None


@pytest.mark.parametrize(
    "carried", [None, b"", b"not json", b'{"a":', b"\xff\xfe", b"\0", b"[" * 100_000, b"9" * 100_000]
)
@pytest.mark.parametrize("name", ["details", "container_id"])
def test_what_is_for_display_only_is_no_reason_to_refuse(name: str, carried: bytes | None) -> None:
    assert isinstance(decode(entry(**{name: carried})), HealthEvent)


@pytest.mark.parametrize("kind", EventType)
def test_each_of_the_seven_types_is_known(kind: EventType) -> None:
    assert decode(entry(event_type=kind.encode())) == HealthEvent(b"1-1", "game-01HZ", kind, 1790000003359)


@given(st.integers(0, MAX_OCCURRED_AT_MS) | st.sampled_from([0, MAX_OCCURRED_AT_MS]))
def test_every_time_up_to_the_last_is_taken(ms: int) -> None:
    decoded = decode(entry(occurred_at_ms=str(ms).encode()))
    assert isinstance(decoded, HealthEvent)
    assert decoded.occurred_at_ms == ms


def test_the_longest_game_id_is_taken() -> None:
    assert isinstance(decode(entry(game_id=b"g" * MAX_GAME_ID_BYTES)), HealthEvent)
