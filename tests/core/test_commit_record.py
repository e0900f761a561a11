"""The commit record: written, read again, and compared with a server (design 3.1, 3.4)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmhealth.core.commit_record import CommitRecord, Server, unpack

SERVER = Server("7301", "0000000A", "2026-11-29 06:00:00+00")
RECORD = CommitRecord(7, "host:1:ab", "5-0", 12, "2026-11-29 06:00:01.5+00", SERVER, verified=True)


def test_what_is_packed_is_read_again() -> None:
    assert unpack(RECORD.pack()) == RECORD
    assert RECORD.id == "host:1:ab#7"


@given(st.binary())
def test_whatever_else_is_there_counts_as_none(packed: bytes) -> None:
    assert unpack(packed) is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (b'"n":7', b'"n":0'),
        (b'"n":7', b'"n":"7"'),
        (b'"offset":"5-0"', b'"offset":"garbage"'),
        (b'"entries_read":12', b'"entries_read":-1'),
        (b"2026-11-29 06:00:01.5+00", b"yesterday"),
        (b'"verified":true', b'"verified":1'),
        (b"host", b"\xff"),
    ],
)
def test_one_field_that_cannot_be_read_is_enough(field: bytes, value: bytes) -> None:
    packed = RECORD.pack()
    assert field in packed
    assert unpack(packed.replace(field, value)) is None


def test_neither_the_first_form_nor_what_is_nested_without_end_is_a_record() -> None:
    assert unpack(b"0-5 host:1:ab#12\t1/00000001 0-4") is None
    assert unpack(b'{"n":' * 100_000) is None


@pytest.mark.parametrize(
    ("ours", "theirs", "other", "older", "may_lack"),
    [
        (Server("1", "0A", "x"), Server("1", "0A", "x"), False, False, False),
        (Server("2", "0A", "x"), Server("1", "0A", "x"), True, False, False),
        (Server("1", "09", "x"), Server("1", "0A", "x"), False, True, True),
        (Server("1", "0B", "x"), Server("1", "0A", "x"), False, False, True),
        (Server("1", "0A", "y"), Server("1", "0A", "x"), False, False, True),
        (Server("", "", ""), Server("1", "0A", "x"), False, False, False),
        (Server("1", "0A", "x"), Server("", "", ""), False, False, False),
        (Server("", "0B", "x"), Server("1", "0A", "x"), False, False, True),
    ],
)
def test_what_is_not_known_differs_from_nothing(
    ours: Server, theirs: Server, other: bool, older: bool, may_lack: bool
) -> None:
    assert ours.is_other_cluster_than(theirs) is other
    assert ours.is_older_than(theirs) is older
    assert ours.may_lack_writes_to(theirs) is may_lack
