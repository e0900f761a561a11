"""Following an event from its append to the row and the snapshot that show it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gmhealth.core.entry import START, Entry, EntryId
from gmhealth.operations.models import EntryView, SnapshotView
from gmhealth.operations.position import entry_view

if TYPE_CHECKING:
    from datetime import datetime

    from gmhealth.bootstrap import Parts


@dataclass(slots=True)
class Trace:
    """What was appended for `game_id`, and when its effects were seen (milliseconds after the last append).

    `in_doubt`: one more was sent, and no answer has come.
    """

    parts: Parts
    game_id: str
    entry_ids: list[EntryId] = field(default_factory=list)
    row_ms: float | None = None
    snapshot_ms: float | None = None
    snapshot: SnapshotView | None = None
    in_doubt: bool = False
    _before: datetime | None = None
    _snapshots_from: EntryId = START
    _sent_at: float = 0.0

    def append(self, fields: list[bytes]) -> None:
        """Append an entry; before the first one, note how row and snapshots stand."""
        if not self.entry_ids:
            self._before = self._row_time()
            self._snapshots_from = self._last_snapshot_id()
        self.in_doubt = True
        self.entry_ids.append(self.parts.stream.append(fields))
        self.in_doubt = False
        self._sent_at = time.perf_counter()

    def follow(self, timeout: float) -> bool:
        """Wait until the offset has passed the last entry; False if it has not within `timeout` seconds."""
        last = self.entry_ids[-1]
        while self.parts.ledger.saved().entry_id < last:
            if time.perf_counter() - self._sent_at > timeout:
                return False
            self._look_for_row()
            self._look_for_snapshot(block_ms=5)
        self._look_for_row()
        self._look_for_snapshot(block_ms=1)
        return True

    def _passed(self) -> float:
        return (time.perf_counter() - self._sent_at) * 1000

    def _look_for_row(self) -> None:
        if self.row_ms is None and self._row_time() != self._before:
            self.row_ms = self._passed()

    def _row_time(self) -> datetime | None:
        found = self.parts.games.game(self.game_id)
        return None if found is None else found[0].updated_at

    def _look_for_snapshot(self, block_ms: int) -> None:
        stream = self.parts.keys.snapshots
        if self.snapshot is not None:
            return
        for entry in self.parts.queries.wait_for({stream: self._snapshots_from}, block_ms).get(stream, ()):
            self._snapshots_from = EntryId.parse(entry[0]) or self._snapshots_from
            found = snapshot_view(entry)
            if found is not None and _game(entry) == self.game_id:
                self.snapshot, self.snapshot_ms = found, self._passed()

    def _last_snapshot_id(self) -> EntryId:
        newest = next(self.parts.queries.backward(self.parts.keys.snapshots, 1), None)
        return START if newest is None else EntryId.parse(newest[0]) or START


def snapshot_view(entry: Entry) -> SnapshotView | None:
    """Show an entry of Lobby's stream; None if it is no snapshot."""
    named = _named(entry)
    if named.get("event_type") != "runtime_snapshot_update":
        return None
    return SnapshotView(
        entry=entry_view(EntryId.parse(entry[0])) or EntryView(id="", time=None),
        current_turn=named.get("current_turn", ""),
        runtime_status=named.get("runtime_status", ""),
        engine_health_summary=named.get("engine_health_summary", ""),
        occurred_at_ms=named.get("occurred_at_ms", ""),
    )


def _game(entry: Entry) -> str | None:
    return _named(entry).get("game_id")


def _named(entry: Entry) -> dict[str, str]:
    texts = [part.decode("utf-8", "backslashreplace") for part in entry[1]]
    return dict(zip(texts[::2], texts[1::2], strict=False))
