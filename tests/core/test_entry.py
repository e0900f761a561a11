"""Entry IDs are Redis's: two unsigned 64-bit integers, compared as such."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmhealth.core.entry import START, EntryId
from tests.strategies import entry_ids

LARGEST = EntryId(2**64 - 1, 2**64 - 1)


@given(entry_ids)
def test_text_and_bytes_round_trip(entry_id: EntryId) -> None:
    assert EntryId.parse(str(entry_id)) == entry_id
    assert EntryId.parse(str(entry_id).encode()) == entry_id


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5", EntryId(5, 0)),
        ("5-0", EntryId(5, 0)),
        ("007-01", EntryId(7, 1)),
        ("18446744073709551615-18446744073709551615", LARGEST),
    ],
)
def test_forms_that_redis_takes(text: str, expected: EntryId) -> None:
    assert EntryId.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", "-", "+", "$", "*", "5-", "-5", "5-*", "1-2-3", " 5", "5 ", "5\n", "0x5", "5.0", "\u0665"),
        *("18446744073709551616", "0-18446744073709551616"),
    ],
)
def test_anything_else_is_no_entry_id(text: str) -> None:
    assert EntryId.parse(text) is None
    assert EntryId.parse(text.encode()) is None


@given(st.binary() | st.text().map(str.encode))
def test_parsing_never_raises(text: bytes) -> None:
    found = EntryId.parse(text)
    assert found is None or found >= START


def test_order_is_by_number_where_text_would_differ() -> None:
    assert EntryId(9, 0) < EntryId(10, 0)
    assert EntryId(10, 9) < EntryId(10, 10)


@given(entry_ids.filter(lambda entry_id: entry_id > START))
def test_before_is_the_nearest_smaller_id(entry_id: EntryId) -> None:
    before = entry_id.before()
    following = EntryId(before.ms, before.seq + 1) if before.seq < 2**64 - 1 else EntryId(before.ms + 1, 0)
    assert before < entry_id
    assert following == entry_id


def test_nothing_is_before_the_start() -> None:
    assert START.before() == START
