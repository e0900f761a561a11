"""The fold of the protocol's model: what a batch makes of the one row."""

from __future__ import annotations

from tests.worker.protocol_world import Plan

SUMMARY = {"x": "exited", "s": "healthy", "r": "healthy"}
SWAP = {"x": ("running", "unreachable"), "r": ("unreachable", "running")}


def fold(entries: str, status: str, emitted: str) -> Plan:
    """Plan a batch, as D4 and D5 say; of its snapshots the last one shows the row as it leaves it."""
    expected, told = status, False
    for entry in entries:
        source, target = SWAP.get(entry, ("", ""))
        if status == source:
            status, told = target, True
        told = told or SUMMARY[entry] != emitted
        emitted = SUMMARY[entry]
    return Plan(expected, status, emitted, told)
