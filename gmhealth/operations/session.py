"""What an operation works with: settings, adapters, and the way back to the person who asked."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from gmhealth.bootstrap import Parts, Servers
    from gmhealth.operations.models import TargetView
    from gmhealth.settings import Settings
    from gmhealth.worker.ports import Stop

Count: TypeAlias = Callable[[int], None]
"""Takes how many entries more are done."""


def no_count(_entries: int) -> None:
    """Count nothing."""


@dataclass(frozen=True, slots=True)
class Session:
    """Settings, servers and adapters of one command; `target` is what it looks at, to be shown, never a secret.

    `command` makes a command line to run next, on the same servers, that can be pasted. `say` gives a remark to whoever
    asked. `progress` shows how far something is, against a total, and asks to stop at a signal.
    """

    settings: Settings
    servers: Servers
    parts: Parts
    target: TargetView
    command: Callable[..., str]
    say: Callable[[str], None]
    progress: Callable[[str, int], AbstractContextManager[tuple[Stop, Count]]]
