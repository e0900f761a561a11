"""Waiting for what another process does, without a fixed sleep."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Value = TypeVar("Value")


def eventually(look: Callable[[], Value], *, within: float = 60.0) -> Value:
    """Looks again and again until there is something true to see, and gives that; fails after `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        if seen := look():
            return seen
        assert time.monotonic() < deadline, f"still {seen!r} after {within:g} seconds"
        time.sleep(0.005)
