"""What a worker waits for fits into 63 bytes and is read again as it was said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmhealth.core.outage import Outage, pack_outage, unpack_outage

NAME = "gmhealth consume gm1.example.com:12345"


def test_it_is_read_as_it_was_said() -> None:
    outage = Outage("Redis", "OutOfMemory", 1_795_449_364, 12)
    assert (
        pack_outage("gmhealth consume gm1:4711", outage, 63) == "gmhealth consume gm1:4711 !OutOfMemory 1795449364 12"
    )
    assert unpack_outage(pack_outage("gmhealth consume gm1:4711", outage, 63), "Redis") == (
        "gmhealth consume gm1:4711",
        outage,
    )
    assert unpack_outage(NAME, "Redis") == (NAME, None)


def test_a_long_name_is_cut_and_ends_as_before() -> None:
    name, outage = unpack_outage(pack_outage(NAME, Outage("Redis", "OutOfMemory", 1_795_449_364, 123), 63), "Redis")
    assert name == "gmhealth consume gm1.examp~om:12345"
    assert outage == Outage("Redis", "OutOfMemory", 1_795_449_364, 123)


def test_what_stands_in_a_line_of_its_own_is_its_detail() -> None:
    text = pack_outage(NAME, Outage("PostgreSQL", "LockNotAvailable", 1_795_449_364, 12), 200)
    assert unpack_outage(f"{text}\ngame-a is locked\nfor long !x 1 2", "PostgreSQL") == (
        NAME,
        Outage("PostgreSQL", "LockNotAvailable", 1_795_449_364, 12, "game-a is locked\nfor long !x 1 2"),
    )


@given(
    st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=63),
    st.text(st.characters(categories=["L"], max_codepoint=126), max_size=40),
    st.integers(0, 10**10),
    st.integers(1, 10**6),
)
def test_it_fits_and_since_when_and_how_often_are_never_cut(name: str, cause: str, since: int, tries: int) -> None:
    text = pack_outage(name, Outage("Redis", cause, since, tries), 63)
    assert len(text) <= 63
    _, outage = unpack_outage(text, "Redis")
    assert outage is not None
    assert (outage.since_s, outage.tries) == (since, tries)
    assert cause.startswith(outage.cause)


@pytest.mark.parametrize("text", ["", "x !y", "x !y 1", "x !y z 1", "x !y 9999999999999 1"])
def test_all_else_is_a_name(text: str) -> None:
    assert unpack_outage(text, "Redis") == (text, None)
