"""The decision record, taken literally: one event at a time over rows that can be changed.

Written from the record and not from the product: own names, and the steps in the record's order.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from scripts.oracle import SUMMARIES, TRANSITIONS


class Conflict(Exception):  # the record's name
    """The row's status is not the expected one."""


@dataclass
class RuntimeRecord:
    """A row of `runtime_records`."""

    status: str
    current_turn: int
    engine_health: str


@dataclass
class Store:
    """RuntimeRecordStore, with the method that D3 adds."""

    records: dict[str, RuntimeRecord]

    def update_status(self, game_id: str, expected_from: str, to: str) -> None:
        """Compare-and-swap."""
        if self.records[game_id].status != expected_from:
            raise Conflict
        self.records[game_id].status = to

    def update_engine_health(self, game_id: str, summary: str) -> None:
        """D3: not gated on anything."""
        self.records[game_id].engine_health = summary


@dataclass
class Consumer:
    """The worker of stage 18."""

    store: Store
    last_emitted: dict[str, str] = field(default_factory=dict)  # D4
    published: list[list[tuple[str, str]]] = field(default_factory=list)

    def handle_message(self, game_id: str, event_type: str, occurred_at_ms: int) -> None:
        """Translate one observation into its three effects."""
        if game_id not in self.store.records:
            return
        transitioned = False
        if event_type in TRANSITIONS:
            transitioned = self._try(game_id, *TRANSITIONS[event_type])
        summary = SUMMARIES[event_type]
        self.store.update_engine_health(game_id, summary)
        if transitioned or self.last_emitted.get(game_id) != summary:
            self._publish(game_id, occurred_at_ms)
            self.last_emitted[game_id] = summary

    def _try(self, game_id: str, expected_from: str, to: str) -> bool:
        try:
            self.store.update_status(game_id, expected_from, to)
        except Conflict:
            return False  # D2: what follows is the health-only update
        return True

    def _publish(self, game_id: str, occurred_at_ms: int) -> None:
        record = self.store.records[game_id]  # D5: read again, after the mutation
        self.published.append(
            [
                ("event_type", "runtime_snapshot_update"),
                ("game_id", game_id),
                ("current_turn", str(record.current_turn)),
                ("runtime_status", record.status),
                ("engine_health_summary", record.engine_health),
                ("player_turn_stats", "[]"),
                ("occurred_at_ms", str(occurred_at_ms)),
            ]
        )
