"""What the decision record makes of a stream, by its literal model, to compare a process with."""

from __future__ import annotations

import psycopg
import redis

from gmhealth.core.events import HealthEvent, decode
from tests import incident
from tests.core.model import Consumer, RuntimeRecord, Store
from tests.games import Game, games
from tests.streams import entries


class Record:
    """The incident's stream and the rows before it, taken one entry after the other."""

    def __init__(self, client: redis.Redis, pg: psycopg.Connection) -> None:
        records = {game_id: RuntimeRecord(*row) for game_id, row in games(pg).items()}
        self.consumer = Consumer(Store(records))
        self.entries = entries(client, incident.STREAM)

    def up_to(self, offset: str) -> None:
        """Take the entries up to the one at `offset`."""
        while self.entries:
            entry_id, named = self.entries.pop(0)
            event = decode((entry_id.encode(), [part.encode() for pair in named.items() for part in pair]))
            if isinstance(event, HealthEvent):
                self.consumer.handle_message(event.game_id, event.type.value, event.occurred_at_ms)
            if entry_id == offset:
                return
        raise AssertionError(f"no entry {offset}")

    def restart(self) -> None:
        """Forget what only the process knew (D4)."""
        self.consumer.last_emitted.clear()

    @property
    def rows(self) -> dict[str, Game]:
        """The rows as they must be."""
        records = self.consumer.store.records
        return {game: Game(row.status, row.current_turn, row.engine_health) for game, row in records.items()}

    @property
    def snapshots(self) -> list[dict[str, str]]:
        """What must have been sent."""
        return [dict(fields) for fields in self.consumer.published]
