"""The key that pauses consumers: written, read again, and hostile (design 3.6)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmhealth.core.events import MAX_OCCURRED_AT_MS
from gmhealth.core.pause import UNREADABLE, Pause, unpack

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
PAUSE = Pause("anna@host", "a migration", 1_795_449_364_420, "ab12")


@given(st.builds(Pause, TEXT, TEXT, st.none() | st.integers(0, MAX_OCCURRED_AT_MS), TEXT))
def test_what_is_packed_is_read_again(pause: Pause) -> None:
    assert unpack(pause.pack()) == pause


@given(st.binary())
def test_whatever_else_is_there_is_a_pause_all_the_same(packed: bytes) -> None:
    assert unpack(packed) == UNREADABLE


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (b'"who":"anna@host"', b'"who":null'),
        (b"1795449364420", b"-1"),
        (b"1795449364420", b"253402300800000"),  # the year 10000, which no calendar here can show
        (b"1795449364420", b"1e400"),
        (b'"token":"ab12"', b'"other":"ab12"'),
        (b"migration", b"\xff"),
        (b"migration", rb"\ud800"),
        (b"{", b'{"a":' * 100_000),
    ],
)
def test_one_field_that_cannot_be_read_leaves_the_pause(field: bytes, value: bytes) -> None:
    packed = PAUSE.pack()
    assert field in packed
    assert unpack(packed.replace(field, value)) == UNREADABLE
