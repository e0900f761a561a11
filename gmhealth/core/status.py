"""Runtime statuses and the transitions Game Master allows (design 2.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Status(StrEnum):
    """A runtime's status, as Game Master stores it."""

    STARTING = "starting"
    RUNNING = "running"
    GENERATION_IN_PROGRESS = "generation_in_progress"
    GENERATION_FAILED = "generation_failed"
    STOPPED = "stopped"
    ENGINE_UNREACHABLE = "engine_unreachable"
    FINISHED = "finished"


ALLOWED: Final[Mapping[Status, frozenset[Status]]] = {
    Status.STARTING: frozenset({Status.RUNNING}),
    Status.RUNNING: frozenset({Status.GENERATION_IN_PROGRESS, Status.ENGINE_UNREACHABLE, Status.STOPPED}),
    Status.GENERATION_IN_PROGRESS: frozenset(
        {Status.RUNNING, Status.GENERATION_FAILED, Status.FINISHED, Status.STOPPED}
    ),
    Status.GENERATION_FAILED: frozenset({Status.GENERATION_IN_PROGRESS, Status.STOPPED}),
    Status.STOPPED: frozenset(),
    Status.ENGINE_UNREACHABLE: frozenset({Status.RUNNING, Status.STOPPED}),
    Status.FINISHED: frozenset(),
}
"""Status to the statuses that may follow it. None follows itself: a health-only update is no transition (D3)."""


@dataclass(frozen=True, slots=True)
class Transition:
    """A compare-and-swap on the status: to `target`, only from `expected`."""

    expected: Status
    target: Status

    def __post_init__(self) -> None:
        if self.target not in ALLOWED[self.expected]:
            raise ValueError(f"{self.expected} -> {self.target} is not an allowed transition")
