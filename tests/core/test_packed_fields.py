"""Packed fields give back what went in, byte for byte, and unpacking never raises."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmhealth.core.packed_fields import pack, unpack


@given(st.lists(st.binary()))
def test_unpack_gives_back_what_pack_joined(fields: list[bytes]) -> None:
    assert unpack(pack(fields)) == fields


def test_the_form_is_an_array_of_binaries() -> None:
    assert pack([b"abc", b"", b"\0\xff"]) == b"\x93\xc4\x03abc\xc4\x00\xc4\x02\0\xff"


@given(st.binary() | st.binary().map(b"\x91\xc4".__add__))
def test_unpack_is_total(packed: bytes) -> None:
    fields = unpack(packed)
    assert fields is None or unpack(pack(fields)) == fields


@pytest.mark.parametrize(
    "packed",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"3:abc,", id="a netstring"),
        pytest.param(b"\xc4\x01a", id="no array"),
        pytest.param(b"\x91\xa1a", id="a text"),
        pytest.param(b"\x91\xc0", id="a nil"),
        pytest.param(b"\x91\xc4\x01ab", id="more than it says"),
        pytest.param(b"\xdd\xff\xff\xff\xff", id="an array of four milliards"),
        pytest.param(b"\x91\xc6\xff\xff\xff\xff", id="four gigabytes"),
    ],
)
def test_what_is_not_of_the_form_is_none(packed: bytes) -> None:
    assert unpack(packed) is None


@given(st.lists(st.binary(min_size=1), min_size=1), st.data())
def test_one_cut_short_is_noticed(fields: list[bytes], data: st.DataObject) -> None:
    packed = pack(fields)
    assert unpack(packed[: data.draw(st.integers(0, len(packed) - 1))]) is None
