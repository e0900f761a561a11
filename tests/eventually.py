"""Waiting for what another process does, without a fixed sleep."""

from __future__ import annotations

from time import monotonic, sleep  # a test may put others into the module
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Value = TypeVar("Value")


def eventually(look: Callable[[], Value], *, within: float = 60.0) -> Value:
    """Looks again and again until there is something true to see, and gives that; fails after `within` seconds."""
    deadline = monotonic() + within
    while True:
        if seen := look():
            return seen
        assert monotonic() < deadline, f"still {seen!r} after {within:g} seconds"
        sleep(0.005)
