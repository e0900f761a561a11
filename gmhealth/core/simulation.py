"""Health events as Runtime Manager would append them (design 2.1), for trying things out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from gmhealth.core.rules import EventType

SIMULATED_CONTAINER: Final = "simulated000"
"""Twelve characters like a real container ID, and plainly none."""


def entry_fields(
    event_type: EventType, game_id: str, container_id: str, occurred_at_ms: int, details: Mapping[str, Any]
) -> list[bytes]:
    """The entry's names and values in the contract's order; `details` are added to what the type usually has."""
    fields = {
        "game_id": game_id,
        "container_id": container_id,
        "event_type": event_type.value,
        "occurred_at_ms": str(occurred_at_ms),
        "details": json.dumps({**event_type.details, **details}, separators=(",", ":")),
    }
    return [part.encode() for pair in fields.items() for part in pair]
