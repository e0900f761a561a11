"""Settling: mending what a fault or another leader may have left, before anything new is written (design 3.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Final

from gmhealth.core.continuity import Place
from gmhealth.core.journal import Line, Stored, by_game, lost, pack_repairs, unpack_lines
from gmhealth.core.plan import NetEffect, Refusal
from gmhealth.core.snapshot import Snapshot
from gmhealth.errors import Unavailable, Unusable
from gmhealth.worker.commits import EMPTY, Commits, Content, Position
from gmhealth.worker.events import Observer, OffsetMoved, OffsetRestored, RecordUnreadable, Settled
from gmhealth.worker.isolation import Applied, Isolation
from gmhealth.worker.job import Job
from gmhealth.worker.ports import Ledger, Rows, Saved, Stream
from gmhealth.worker.reader import summaries_after
from gmhealth.worker.settle import Course, Unfit, decide

SLICE: Final = 500
"""Games that one settling commit publishes."""
REPAIRED_AT_ONCE: Final = 10_000
"""Games that one statement writes again."""


@dataclass(slots=True)
class Repairs:
    """Games whose rows lost a write, each with what was written again, None for nothing; `at`: up to that time."""

    at: str
    effects: dict[str, NetEffect | None] = field(default_factory=dict)
    refused: dict[str, Refusal] = field(default_factory=dict)


class Settler:
    """Settles over the servers that a worker has; keeps nothing but how many rows it may write again at once."""

    def __init__(
        self,
        stream: Stream,
        ledger: Ledger,
        rows: Rows,
        commits: Commits,
        job: Job,
        observe: Observer,
        clock_ms: Callable[[], int],
    ) -> None:
        self._stream, self._ledger, self._rows, self._commits = stream, ledger, rows, commits
        self._job, self._observe, self._clock_ms = job, observe, clock_ms
        self._at_once = REPAIRED_AT_ONCE

    def settle(self, saved: Saved) -> tuple[Saved, Place] | None:
        """Settle after what is `saved`; where the offset then stands, or None on an old primary: stand by there.

        Raises `FenceLost` as soon as somebody else commits or moves the offset: settle again. Raises `Unusable` where
        PostgreSQL is another cluster than the one that was written to.
        """
        course = decide(saved, self._rows.server)
        if course is Unfit.OTHER_CLUSTER:
            raise Unusable(
                "this PostgreSQL is another cluster than that of the last commit; nothing was changed",
                hint="connect to that one; after a restore or an upgrade of the cluster stop all consumers and delete"
                " the commit record's key: gmhealth-operations(7), FAILOVER",
            )
        if isinstance(course, Unfit):
            return None
        self._report(course, saved)
        at = saved.record.written_at if saved.record is not None else self._rows.now()
        position = Position(Place(course.offset, course.entries_read), sets=course.restore and self._job.moves_offset)
        if course.prepare:
            saved = self._send(saved, position, at)
        repairs = self._repair(at, course) if course.verify else Repairs(at)
        saved, published = self._publish(saved, position, repairs, at)
        self._observe(Settled(course.offset, published, len(repairs.effects), repairs.refused))
        return saved, position.place

    def _report(self, course: Course, saved: Saved) -> None:
        if saved.packed and saved.record is None:
            self._observe(RecordUnreadable())
        if not self._job.moves_offset:
            return
        if course.moved_from is not None:
            self._observe(OffsetMoved(str(course.moved_from), str(course.offset)))
        if course.restore:
            self._observe(OffsetRestored(course.offset))

    def _send(
        self,
        fence: Saved,
        position: Position,
        at: str,
        content: Content = EMPTY,
        *,
        verified: bool = False,
    ) -> Saved:
        server = self._rows.server
        return self._commits.send(fence, position, written_at=at, server=server, verified=verified, content=content)[0]

    def _repair(self, at: str, course: Course) -> Repairs:
        """Write again what rows lack of the last minute of writes, and nothing else (I10)."""
        left = course.offset if course.moved_from is None else course.moved_from  # where a batch in flight began
        in_flight = cache(partial(summaries_after, self._stream, left, self._rows.keep_alive))
        lines = by_game(line for packed in self._ledger.recent_writes() for line in unpack_lines(packed))
        games, repairs, isolation = sorted(lines), Repairs(at), Isolation(self._rows)
        for first in range(0, len(games), REPAIRED_AT_ONCE):
            found = lost(lines, self._rows.find(games[first : first + REPAIRED_AT_ONCE]), in_flight)
            repairs.effects.update(found)
            effects = [effect for game_id in sorted(found) if (effect := found[game_id]) is not None]
            for each in range(0, len(effects), self._at_once):
                applied = self._write(isolation, effects[each : each + self._at_once], repairs.at)
                repairs.at = max(repairs.at, applied.at)
                repairs.refused.update(applied.refused)
        self._at_once = REPAIRED_AT_ONCE
        return repairs

    def _write(self, isolation: Isolation, effects: Sequence[NetEffect], since: str) -> Applied:
        """Write `effects`; after a failure that their number can cause the next try has half as many at once."""
        try:
            return isolation.write(effects, since)
        except Unavailable as error:
            if error.by_size:
                self._at_once = max(1, len(effects) // 2)
            raise

    def _publish(self, saved: Saved, position: Position, repairs: Repairs, at: str) -> tuple[Saved, int]:
        """Publish every row that changed after `at`, and every repaired one, as it stands; always commits (I3).

        Only the last commit says that all is published and verified, so a fault on the way repeats the rest.
        """
        until, published = max(at, repairs.at, self._rows.now()), 0
        pages = self._untold(at, repairs.effects)
        page = next(pages, ())
        while True:
            following = next(pages, None)
            content = _content(page, repairs.effects, self._clock_ms())
            published += len(page)
            if following is None:
                return self._send(saved, position, until, content, verified=True), published
            saved, page = self._send(saved, position, at, content), following

    def _untold(self, at: str, repaired: Mapping[str, NetEffect | None]) -> Iterator[Sequence[Stored]]:
        seen: set[str] = set()
        page = self._rows.changed_since(at, None, SLICE)
        while page:
            seen.update(row.game_id for row in page)
            yield page
            page = self._rows.changed_since(at, page[-1], SLICE) if len(page) == SLICE else ()
        rest = sorted(repaired.keys() - seen)
        for first in range(0, len(rest), SLICE):
            yield self._rows.find(rest[first : first + SLICE])


def _content(rows: Sequence[Stored], repaired: Mapping[str, NetEffect | None], now_ms: int) -> Content:
    if not rows:
        return EMPTY
    return Content(
        snapshots=[_snapshot(each, now_ms) for each in rows],
        lines=[_line(each, repaired.get(each.game_id)) for each in rows],
        journal=pack_repairs(rows),
        job="repair",
    )


def _snapshot(stored: Stored, now_ms: int) -> Snapshot:
    row, at = stored.row, now_ms if stored.updated_ms is None else stored.updated_ms
    return Snapshot(stored.game_id, row.current_turn, row.status, row.engine_health, at)


def _line(stored: Stored, effect: NetEffect | None) -> Line:
    row = stored.row
    target, summary = ("", "") if effect is None else (effect.target, effect.summary)
    return Line(stored.game_id, target, summary, row.status, row.status, row.engine_health, stored.updated_at)
