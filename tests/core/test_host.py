"""Host names in what an operator wrote."""

from __future__ import annotations

import socket

import pytest

from gmhealth.core.text import is_host


@pytest.mark.parametrize("text", ["", "db", "db.example.org.", "127.0.0.1", "::1", "bücher.example", "/run/postgresql"])
def test_what_can_be_looked_up(text: str) -> None:
    assert is_host(text)


@pytest.mark.parametrize("text", ["a..b", ".a", "a" * 64, "a.\ud800"])
def test_what_python_would_raise_at(text: str) -> None:
    assert not is_host(text)
    with pytest.raises(UnicodeError):
        socket.getaddrinfo(text, 1)
