"""Noticing that a promoted server lacks what was done last, and knowing what to do or to say again (design 3.4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from gmhealth.core.continuity import Place
from gmhealth.core.entry import START, EntryId
from gmhealth.core.mark import worker_and_number
from gmhealth.core.tail import Recent, Tail
from gmhealth.job import Job
from gmhealth.notices import RolledBack
from gmhealth.ports import Rows, Saved, Stream

WORKERS: Final = 16
"""Their last commits are remembered: each process is another one, and a standby may see many come and go."""


class Failover:
    """Keeps the tail of what was applied in view, by the worker called `name` or by one that it may take over from."""

    def __init__(self, stream: Stream, rows: Rows, job: Job, name: str, clock_ms: Callable[[], int]) -> None:
        self._stream, self._rows, self._job, self._name, self._clock_ms = stream, rows, job, name, clock_ms
        self._recent = Recent(job.rerun_ms)
        self.lost: dict[str, int] = {}  # what Lobby was told by us and is to be told again, as nobody else knows of it
        self._seen: tuple[str | None, str | None] = None, None  # the offset and the mark that the tail goes with
        self._numbers: dict[str, int] = {}  # of the last commit that was seen of each worker
        self._offset = START  # the last that was seen, also while another worker moves it
        self._replayed_on = ""  # the timeline that a replay, which has no tail, began on

    @property
    def tail(self) -> Tail | None:
        """What was applied lately; None as long as nobody knows."""
        return self._recent.tail

    @property
    def of_postgres(self) -> bool:
        """Whether PostgreSQL is on another timeline than what was applied lately."""
        then, now = self.tail.timeline if self.tail is not None else "", self._rows.timeline
        return self._job.moves_offset and "" not in (then, now) and then != now

    def under_replay(self) -> bool:
        """Whether PostgreSQL is on another timeline than the one that this replay began to write on."""
        if self._job.moves_offset:
            return False
        now = self._rows.timeline
        self._replayed_on = self._replayed_on or now
        return "" not in (self._replayed_on, now) and self._replayed_on != now

    def of_redis(self, ours: Saved | None, saved: Saved, made: int) -> bool:
        """Whether Redis has gone back in time: a mark is there again that we had overwritten, as no operator does.

        We had `made` so many commits when we adopted `ours`, if that is another one's.
        """
        if ours is None or saved.mark == ours.mark or not self._job.moves_offset:
            return False
        then, last = self._own_number(saved.mark), self._own_number(ours.mark)
        if then is not None and then > (made if last is None else last):
            return False  # a commit of ours that was on its way for long
        return then is not None or saved.entry_id < self._offset

    def rollback(self, saved: Saved) -> RolledBack | None:
        """Say so if Redis has an earlier commit, of whatever worker, than the last one of that worker that was seen.

        So one that stands by can tell, whose own commits are long overwritten. What it had told itself is then `lost`.
        """
        (text, mark), (name, number) = self._seen, worker_and_number(saved.mark)
        known = self._job.moves_offset and name in self._numbers
        if not known or saved.mark == mark or number > self._numbers[name]:
            return None
        self.lost = {**self.untold(), **self.lost}
        return RolledBack(text, saved.text, len(self.lost))

    def lose(self, games: Mapping[str, int]) -> None:
        """Take it that nobody but us knows what these games' new statuses are: they are `lost` as well."""
        self.lost = {**self.lost, **games}

    def take_lost(self) -> dict[str, int]:
        """What is `lost`, which is for the caller to tell from here on."""
        lost, self.lost = self.lost, {}
        return lost

    def told_again(self, saved: Saved, told: Mapping[str, int]) -> None:
        """Take note of a commit that `told` what was lost. It is kept in view: it may be lost once more."""
        self.applied(saved, told)
        self.lost = {game_id: at for game_id, at in self.lost.items() if told.get(game_id) != at}

    def _own_number(self, mark: str | None) -> int | None:
        """Which commit of ours `mark` is of; None for another worker's."""
        name, number = worker_and_number(mark)
        return number if name == self._name else None

    def watch(self, saved: Saved, offset: EntryId) -> None:
        """Take note of what Redis has `saved`, before anything after `offset` is applied."""
        self._offset = saved.entry_id
        self._recent.age(self._clock_ms())
        if (saved.text, saved.mark) != self._seen or self._recent.tail is None:
            moved = saved.tail is None or saved.text != saved.committed  # who moved the offset wins here, too (I6)
            timeline = saved.tail.timeline if saved.tail is not None else self._rows.timeline
            since = saved.entry_id if saved.tail is None or moved else saved.tail.since
            self._recent.begin(Tail(timeline, since), offset, self._clock_ms())
            self._see(saved)
        elif not self.of_postgres:
            self._recent.pass_time(offset, self._clock_ms())

    def applied(self, saved: Saved, told: Mapping[str, int]) -> None:
        """Take note of our own commit, which `told` the new statuses of these games."""
        self._offset = saved.entry_id
        self._see(saved)
        self.told(told)

    def told(self, games: Mapping[str, int]) -> None:
        """Take note that the new statuses of these games were told, by whomever."""
        self._recent.tell(games)

    def _see(self, saved: Saved) -> None:
        self._seen = saved.text, saved.mark
        name, number = worker_and_number(saved.mark)
        self._numbers.pop(name, None)
        if name:
            self._numbers[name] = number
        if len(self._numbers) > WORKERS:
            del self._numbers[next(iter(self._numbers))]

    def begin(self, tail: Tail) -> None:
        """Take it that nothing was applied lately: go on with `tail`, which is empty as yet."""
        self._recent.begin(tail, tail.since, self._clock_ms())

    def untold(self) -> dict[str, int]:
        """Take it that Lobby has not heard of what was told lately: the games, with the time it happened."""
        return self._recent.untold()

    def to_run_again(self, offset: EntryId) -> Tail:
        """The entries up to `offset` whose rows the last timeline may have taken with it."""
        return Tail(self._rows.timeline, self._first_after(offset))

    def outlasted(self, before: Place, after: Place) -> Place:
        """The place after a batch that was in hand, read from `before`, when something failed.

        A promoted Redis may lack entries of it while no commit was lost. They happened, so they are applied; but this
        stream ends before them or counts others, and would be taken for another one.
        """
        if self._job.moves_offset and before.offset != START and not self.has(after) and self.has(before):
            return Place(min(after.offset, self._stream.state().last_generated))
        return after

    def has(self, place: Place) -> bool:
        """Whether the entry at `place` still is in the stream; True at its beginning, where none is."""
        return self._stream.read_range(place.offset, place.offset, 1).unbroken

    def _first_after(self, offset: EntryId) -> EntryId:
        since = self.tail.since if self.tail is not None else offset
        if since >= offset or not self._stream.read_range(since, offset, 1).entries:
            return offset
        first = self._stream.state().first
        # What was trimmed since it was applied is no loss that I9 means: START is before whatever is left.
        return since if first is not None and first <= since else START
