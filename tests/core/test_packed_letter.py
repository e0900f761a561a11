"""A packed letter gives back what went in, byte for byte, and unpacking never raises."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmhealth.core.packed_letter import Letter, pack, unpack

letters = st.builds(Letter, st.binary(), st.text(), st.lists(st.binary()))


@given(letters)
def test_unpack_gives_back_what_pack_joined(letter: Letter) -> None:
    assert unpack(pack(*letter)) == letter


def test_the_form_is_an_array_of_id_reason_and_fields() -> None:
    packed = pack(b"5-1", "why", [b"abc", b"", b"\0\xff"])
    assert packed == b"\x93\xc4\x035-1\xa3why\x93\xc4\x03abc\xc4\x00\xc4\x02\0\xff"


@given(st.binary() | st.binary().map(b"\x93\xc4\x035-1\xa3".__add__))
def test_unpack_is_total(packed: bytes) -> None:
    letter = unpack(packed)
    assert letter is None or unpack(pack(*letter)) == letter


@pytest.mark.parametrize(
    "packed",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\xc4\x01a", id="no array"),
        pytest.param(b"\x92\xc4\x015\xa1x", id="two of three"),
        pytest.param(b"\x94\xc4\x015\xa1x\x90\xc0", id="four of three"),
        pytest.param(b"\x93\xc4\x015\xc4\x01x\x90", id="a reason that is no text"),
        pytest.param(b"\x93\xc4\x015\xa1\xff\x90", id="a reason that is no UTF-8"),
        pytest.param(b"\x93\xc4\x015\xa1x\x91\xa1a", id="a field that is a text"),
        pytest.param(b"\x93\xc4\x015\xa1x\x91\xc0", id="a field that is nil"),
        pytest.param(b"\x93\xc4\x015\xa1x\x91\xc4\x01ab", id="more than it says"),
        pytest.param(b"\x93\xc4\x015\xa1x\xdd\xff\xff\xff\xff", id="four milliards of fields"),
        pytest.param(b"\x93\xc4\x015\xa1x\x91\xc6\xff\xff\xff\xff", id="four gigabytes"),
    ],
)
def test_what_is_not_of_the_form_is_none(packed: bytes) -> None:
    assert unpack(packed) is None


@given(letters, st.data())
def test_one_cut_short_is_noticed(letter: Letter, data: st.DataObject) -> None:
    packed = pack(*letter)
    assert unpack(packed[: data.draw(st.integers(0, len(packed) - 1))]) is None
