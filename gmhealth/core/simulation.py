"""Health events as Runtime Manager would append them (design 2.1), for trying things out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from gmhealth.core.events import EventType

SIMULATED_CONTAINER: Final = "simulated000"
"""Twelve characters like a real container ID, and plainly none."""

DETAILS: Final[Mapping[EventType, Mapping[str, Any]]] = {
    EventType.CONTAINER_STARTED: {"image_ref": "registry.example.com/galaxy/game:simulated"},
    EventType.CONTAINER_EXITED: {"exit_code": 1, "oom": False},
    EventType.CONTAINER_OOM: {"exit_code": 137},
    EventType.CONTAINER_DISAPPEARED: {},
    EventType.INSPECT_UNHEALTHY: {"restart_count": 3, "state": "running", "health": "unhealthy"},
    EventType.PROBE_FAILED: {"consecutive_failures": 3},
    EventType.PROBE_RECOVERED: {"prior_failure_count": 3},
}


def entry_fields(
    event_type: EventType, game_id: str, container_id: str, occurred_at_ms: int, details: Mapping[str, Any]
) -> list[bytes]:
    """The entry's names and values in the contract's order; `details` are added to what the type usually has."""
    fields = {
        "game_id": game_id,
        "container_id": container_id,
        "event_type": event_type.value,
        "occurred_at_ms": str(occurred_at_ms),
        "details": json.dumps({**DETAILS[event_type], **details}, separators=(",", ":")),
    }
    return [part.encode() for pair in fields.items() for part in pair]
