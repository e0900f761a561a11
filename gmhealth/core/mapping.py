"""What each event type means for a game (D1, design 2.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gmhealth.core.events import EventType
from gmhealth.core.status import Status, Transition


class Summary(StrEnum):
    """The short word on a game's engine that `engine_health` holds and Lobby shows."""

    HEALTHY = "healthy"
    EXITED = "exited"
    OOM = "oom"
    DISAPPEARED = "disappeared"
    INSPECT_UNHEALTHY = "inspect_unhealthy"
    PROBE_FAILED = "probe_failed"


@dataclass(frozen=True, slots=True)
class Effect:
    """What one event asks for: the summary always, the transition where the status is as expected."""

    summary: Summary
    transition: Transition | None = None


_LOST: Final = Transition(Status.RUNNING, Status.ENGINE_UNREACHABLE)
_RECOVERED: Final = Transition(Status.ENGINE_UNREACHABLE, Status.RUNNING)

EFFECTS: Final[Mapping[EventType, Effect]] = {
    EventType.CONTAINER_STARTED: Effect(Summary.HEALTHY),
    EventType.CONTAINER_EXITED: Effect(Summary.EXITED, _LOST),
    EventType.CONTAINER_OOM: Effect(Summary.OOM, _LOST),
    EventType.CONTAINER_DISAPPEARED: Effect(Summary.DISAPPEARED, _LOST),
    EventType.INSPECT_UNHEALTHY: Effect(Summary.INSPECT_UNHEALTHY),
    EventType.PROBE_FAILED: Effect(Summary.PROBE_FAILED),
    EventType.PROBE_RECOVERED: Effect(Summary.HEALTHY, _RECOVERED),
}

SWAPS: Final[Mapping[str, str]] = {
    each.transition.target: each.transition.expected for each in EFFECTS.values() if each.transition is not None
}
"""Each status that an event may set to the only one that it may set it from (D1, D2)."""
