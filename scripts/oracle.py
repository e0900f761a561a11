"""What an event does, by the decision record (D1 to D3): one table for tests, fuzzer, torture and bench.

Shares nothing with gmhealth, so that both cannot be wrong in the same way, and needs the standard library only.
"""

from __future__ import annotations

from typing import Final, NamedTuple

SUMMARIES: Final = {
    "container_started": "healthy",
    "container_exited": "exited",
    "container_oom": "oom",
    "container_disappeared": "disappeared",
    "inspect_unhealthy": "inspect_unhealthy",
    "probe_failed": "probe_failed",
    "probe_recovered": "healthy",
}
TRANSITIONS: Final = {
    "container_exited": ("running", "engine_unreachable"),
    "container_oom": ("running", "engine_unreachable"),
    "container_disappeared": ("running", "engine_unreachable"),
    "probe_recovered": ("engine_unreachable", "running"),
}


class After(NamedTuple):
    """A game after an event."""

    status: str
    summary: str
    swapped: bool


def after(status: str, event_type: str) -> After:
    """Apply one event to a game with `status`."""
    expected, target = TRANSITIONS.get(event_type, (None, ""))
    swapped = status == expected
    return After(target if swapped else status, SUMMARIES[event_type], swapped)
