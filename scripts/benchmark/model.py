"""What must come out: the decision record's rules over plain dictionaries, one event at a time.

Shares nothing with gmhealth, so that both cannot be wrong in the same way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from scripts.benchmark.workload import Event, Row, Workload
from scripts.oracle import after

Snapshot = tuple[bytes, ...]
"""The names and values of a `gm:lobby_events` entry, in turn."""


@dataclass(slots=True)
class Model:
    """The rows that events have touched so far, and the debounce state."""

    workload: Workload
    rows: dict[str, Row] = field(default_factory=dict)
    last_emitted: dict[str, str] = field(default_factory=dict)

    def snapshots(self, events: Iterable[Event]) -> Iterator[Snapshot]:
        """Apply `events` and give what they send, in order."""
        for event in events:
            row = self.row(event.game_id)
            if row is None:
                continue
            status, summary, swapped = after(row.status, event.event_type)
            self.rows[event.game_id] = Row(status, row.current_turn, summary)
            if swapped or self.last_emitted.get(event.game_id) != summary:
                self.last_emitted[event.game_id] = summary
                yield _snapshot(event, status, row.current_turn, summary)

    def row(self, game_id: str) -> Row | None:
        """Look up a row as it is now."""
        return self.rows.get(game_id) or self.workload.initial_row(game_id)


def _snapshot(event: Event, status: str, turn: int, summary: str) -> Snapshot:
    fields = {
        "event_type": "runtime_snapshot_update",
        "game_id": event.game_id,
        "current_turn": str(turn),
        "runtime_status": status,
        "engine_health_summary": summary,
        "player_turn_stats": "[]",
        "occurred_at_ms": str(event.occurred_at_ms),
    }
    return tuple(text.encode() for pair in fields.items() for text in pair)
