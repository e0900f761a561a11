"""Netstrings give back what went in, byte for byte, and unpacking never raises."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmhealth.core.netstring import pack, unpack


@given(st.lists(st.binary()))
def test_unpack_gives_back_what_pack_joined(parts: list[bytes]) -> None:
    assert unpack(pack(parts)) == parts


def test_the_form_is_bernsteins() -> None:
    assert pack([b"abc", b"", b"\0,:"]) == b"3:abc,0:,3:\0,:,"


@given(st.binary() | st.text("0123456789:,a").map(str.encode))
def test_unpack_is_total(packed: bytes) -> None:
    parts = unpack(packed)
    assert parts is None or unpack(pack(parts)) == parts


@pytest.mark.parametrize(
    "packed", [b"3:ab,", b"3:abcd,", b"3:abc", b"abc", b":,", b"-1:,", b" 1:a,", b"1:a,x", b"9" * 5000 + b":,"]
)
def test_what_is_not_of_the_form_is_none(packed: bytes) -> None:
    assert unpack(packed) is None


@given(st.lists(st.binary(min_size=1), min_size=1), st.data())
def test_a_part_cut_short_is_noticed(parts: list[bytes], data: st.DataObject) -> None:
    packed = pack(parts)
    last = len(pack(parts[:-1]))
    at = data.draw(st.integers(last + 1, len(packed) - 1))
    assert unpack(packed[:at]) is None
