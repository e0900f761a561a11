"""Whole numbers in what others wrote."""

from __future__ import annotations

import pytest

from gmhealth.core.text import number


@pytest.mark.parametrize(("text", "found"), [("0", 0), ("0012", 12), (b"12", 12), ("9" * 18, 10**18 - 1)])
def test_digits_are_a_number(text: str | bytes, found: int) -> None:
    assert number(text) == found


@pytest.mark.parametrize(
    "text", ["", "²", "1²", "٣", "-1", "+1", " 1", "1_0", "1.0", "9" * 19, "9" * 5000, b"\xb2", b""]
)
def test_anything_else_is_none(text: str | bytes) -> None:
    assert number(text) is None
