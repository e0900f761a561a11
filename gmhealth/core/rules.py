"""Event types and what each means for a game: one row per type (D1, design 2.2, 2.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final


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


LOST: Final = Transition(Status.RUNNING, Status.ENGINE_UNREACHABLE)
RECOVERED: Final = Transition(Status.ENGINE_UNREACHABLE, Status.RUNNING)


class Summary(StrEnum):
    """The short word on a game's engine that `engine_health` holds and Lobby shows."""

    HEALTHY = "healthy"
    EXITED = "exited"
    OOM = "oom"
    DISAPPEARED = "disappeared"
    INSPECT_UNHEALTHY = "inspect_unhealthy"
    PROBE_FAILED = "probe_failed"


NO_DETAILS: Final[Mapping[str, Any]] = {}


class EventType(StrEnum):
    """What Runtime Manager reports about a container.

    `summary` is set always, the status moves by `transition` where it is the expected one (D2, D3); `details` is what
    such an event carries, as a sample.
    """

    summary: Summary
    transition: Transition | None
    details: Mapping[str, Any]

    CONTAINER_STARTED = "container_started", Summary.HEALTHY, None, {"image_ref": "registry.example.com/galaxy/game:1"}
    CONTAINER_EXITED = "container_exited", Summary.EXITED, LOST, {"exit_code": 1, "oom": False}
    CONTAINER_OOM = "container_oom", Summary.OOM, LOST, {"exit_code": 137}
    CONTAINER_DISAPPEARED = "container_disappeared", Summary.DISAPPEARED, LOST, NO_DETAILS
    INSPECT_UNHEALTHY = (
        "inspect_unhealthy", Summary.INSPECT_UNHEALTHY, None,
        {"restart_count": 3, "state": "running", "health": "unhealthy"},
    )  # fmt: skip
    PROBE_FAILED = "probe_failed", Summary.PROBE_FAILED, None, {"consecutive_failures": 3}
    PROBE_RECOVERED = "probe_recovered", Summary.HEALTHY, RECOVERED, {"prior_failure_count": 3}

    def __new__(
        cls, value: str, summary: Summary, transition: Transition | None, details: Mapping[str, Any]
    ) -> EventType:
        """Make a member of its row."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.summary, member.transition, member.details = summary, transition, details
        return member

    __hash__ = str.__hash__  # Enum's own is Python code, and one is looked up per event


SWAPS: Final[Mapping[str, str]] = {
    each.transition.target: each.transition.expected for each in EventType if each.transition is not None
}
"""Each status that an event may set to the only one that it may set it from (D1, D2)."""
