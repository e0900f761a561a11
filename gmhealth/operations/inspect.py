"""What the two streams tell about one game."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gmhealth.core.entry import START, Entry, EntryId
from gmhealth.core.events import HealthEvent, decode
from gmhealth.core.explain import Explanation, explain_read, explain_unread
from gmhealth.core.plan import Row
from gmhealth.core.rules import ALLOWED, Status
from gmhealth.core.snapshot import Snapshot
from gmhealth.core.text import number
from gmhealth.errors import NotFound
from gmhealth.operations.models import EntryView, EventView, InspectView, RowView, SnapshotView
from gmhealth.operations.position import entry_view
from gmhealth.operations.times import from_ms
from gmhealth.operations.trace import snapshot_view

if TYPE_CHECKING:
    from gmhealth.adapters.postgres.queries import GameRow
    from gmhealth.bootstrap import Parts
    from gmhealth.operations.session import Session

BLOCK_MS = 500


@dataclass(frozen=True, slots=True)
class History:
    """A game's recent events and snapshots, oldest first, and how far back they were looked for."""

    game_id: str
    offset: EntryId
    events: list[tuple[Entry, HealthEvent]]
    snapshots: list[tuple[EntryId, Snapshot]]
    last_snapshot: SnapshotView | None
    scanned: int
    scanned_all: bool
    seen: Mapping[str, EntryId]

    def views(self, row: GameRow) -> list[EventView]:
        """Each event with what it did, or would do to `row`."""
        read = [item for item in self.events if _id(item[0]) <= self.offset]
        unread = self.events[len(read) :]
        last_sent = self.snapshots[-1][1].engine_health_summary if self.snapshots else None
        now = Row(row.status, row.current_turn, row.engine_health)
        told = explain_read(
            [event for _, event in read], [snapshot for _, snapshot in self.snapshots], now.engine_health
        )
        told += explain_unread([event for _, event in unread], now, last_sent)
        return [_view(item, each, self.offset) for item, each in zip(self.events, told, strict=True)]


def load_history(parts: Parts, game_id: str, wanted: int, scan: int) -> History:
    """Look from the end of both streams for events and snapshots of `game_id`, through at most `scan` entries."""
    state, offset = parts.stream.state(), parts.ledger.saved().entry_id
    seen = {stream: _last(parts, stream) for stream in (parts.keys.source, parts.keys.snapshots)}
    events: list[tuple[Entry, HealthEvent]] = []
    scanned = 0
    for entry in parts.queries.backward(parts.keys.source, scan, seen[parts.keys.source]):
        scanned += 1
        event = decode(entry)
        if isinstance(event, HealthEvent) and event.game_id == game_id:
            events.append((entry, event))
            # All that is unread, even if it is more than wanted: what one would do rests on those before it.
            if len(events) >= wanted and _id(entry) <= offset:
                break
    entries = parts.queries.backward(parts.keys.snapshots, scan, seen[parts.keys.snapshots])
    snapshots, newest = _snapshots(entries, game_id, oldest=events[-1][1].occurred_at_ms if events else None)
    return History(
        game_id=game_id,
        offset=offset,
        events=events[::-1],
        snapshots=snapshots[::-1],
        last_snapshot=newest,
        scanned=scanned,
        scanned_all=scanned >= state.length,
        seen=seen,
    )


def inspected(opened: Session, history: History, events: int) -> InspectView:
    """The game's row, its last `events` events and what each did; raises `NotFound` for a game without a row."""
    game_id = history.game_id
    found = opened.parts.games.game(game_id)
    if found is None:
        seen = f"; the stream has {len(history.events)} recent events of it" if history.events else ""
        raise NotFound(
            f"there is no game {game_id!r} in {opened.target.table} of {opened.target.postgres}{seen}",
            hint="check the ID; Game Master makes the row when it registers the runtime",
        )
    row = found[0]
    follows = ALLOWED[Status(row.status)] if row.status in list(Status) else frozenset()
    return InspectView(
        target=opened.target,
        row=RowView(**row._asdict()),
        may_follow=sorted(follows),
        events=history.views(row)[-events:],
        scanned=history.scanned,
        scanned_all=history.scanned_all,
        last_snapshot=history.last_snapshot,
    )


def _snapshots(
    entries: Iterable[Entry], game_id: str, oldest: int | None
) -> tuple[list[tuple[EntryId, Snapshot]], SnapshotView | None]:
    """Snapshots newest first: back to the first one before `oldest` ms, which tells the status before the events."""
    found: list[tuple[EntryId, Snapshot]] = []
    newest = None
    for entry in entries:
        named = dict(zip(entry[1][::2], entry[1][1::2], strict=False))
        view = snapshot_view(entry) if named.get(b"game_id") == game_id.encode() else None
        if view is None:
            continue
        newest = newest or view
        at, turn = number(view.occurred_at_ms) or 0, number(view.current_turn) or 0
        found.append((_id(entry), Snapshot(game_id, turn, view.runtime_status, view.engine_health_summary, at)))
        if oldest is None or at < oldest:
            break
    return found, newest


def watch(parts: Parts, history: History) -> Iterator[EventView | SnapshotView]:
    """Yield the game's events and snapshots after those that `history` has seen, as they come, for ever."""
    source, after = parts.keys.source, dict(history.seen)
    while True:
        for name, entries in parts.queries.wait_for(after, BLOCK_MS).items():
            after[name] = _id(entries[-1])
            for entry in entries:
                yield from _of_game(entry, history.game_id, is_event=name == source)


def _of_game(entry: Entry, game_id: str, *, is_event: bool) -> Iterator[EventView | SnapshotView]:
    if is_event:
        event = decode(entry)
        if isinstance(event, HealthEvent) and event.game_id == game_id:
            yield _view((entry, event), Explanation("", ""), START)
    elif dict(zip(entry[1][::2], entry[1][1::2], strict=False)).get(b"game_id") == game_id.encode():
        snapshot = snapshot_view(entry)
        if snapshot is not None:
            yield snapshot


def _view(item: tuple[Entry, HealthEvent], told: Explanation, offset: EntryId) -> EventView:
    entry, event = item
    named = dict(zip(entry[1][::2], entry[1][1::2], strict=False))
    return EventView(
        entry=entry_view(_id(entry)) or EntryView(id="", time=None),
        type=event.type,
        occurred_at=from_ms(event.occurred_at_ms),
        container_id=_text(named.get(b"container_id")),
        details=_text(named.get(b"details")),
        read=_id(entry) <= offset,
        outcome=told.outcome,
        why=told.why,
    )


def _id(entry: Entry) -> EntryId:
    return EntryId.parse(entry[0]) or START


def _last(parts: Parts, stream: str) -> EntryId:
    newest = next(parts.queries.backward(stream, 1), None)
    return START if newest is None else _id(newest)


def _text(raw: bytes | None) -> str:
    return (raw or b"")[:10_000].decode("utf-8", "backslashreplace")
