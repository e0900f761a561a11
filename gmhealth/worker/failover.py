"""Noticing that a promoted server lacks what was done last, and knowing what to do or to say again (design 3.4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gmhealth.core.continuity import Place
from gmhealth.core.entry import START, EntryId
from gmhealth.core.mark import lacks
from gmhealth.core.tail import Recent, Tail
from gmhealth.worker.events import RolledBack
from gmhealth.worker.job import Job
from gmhealth.worker.ports import Rows, Saved, Stream


class Failover:
    """Keeps the tail of what was applied in view, by the worker that has it or by one that it may take over from."""

    def __init__(self, stream: Stream, rows: Rows, job: Job, clock_ms: Callable[[], int]) -> None:
        self._stream, self._rows, self._job, self._clock_ms = stream, rows, job, clock_ms
        self._recent = Recent(job.rerun_ms)
        self.lost: dict[str, int] = {}  # what we know of, perhaps nobody else does, and Lobby is to be told
        self._seen: tuple[str | None, str | None] = None, None  # the offset and the mark that the tail goes with
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

    def went_back(self, saved: Saved) -> bool:
        """Whether Redis lacks the commit that was seen last, of whatever worker, as after a failover."""
        return lacks(saved.mark, self._seen[1])

    def rollback(self, saved: Saved) -> RolledBack | None:
        """Say so if Redis went back in time, until that is seen; what was told lately is then `lost`.

        Whoever commits on what is left of it does not hide it: a mark tells which commits it comes after.
        """
        if not self.went_back(saved):
            return None
        self.lost = {**self.untold(), **self.lost}
        return RolledBack(self._seen[0], saved.text, len(self.lost))

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

    def watch(self, saved: Saved, offset: EntryId) -> None:
        """Take note of what Redis has `saved`, before anything after `offset` is applied."""
        self._recent.age(self._clock_ms())
        if (saved.text, saved.mark) != self._seen or self._recent.tail is None:
            moved = saved.tail is None or saved.text != saved.committed  # who moved the offset wins here, too (I6)
            timeline = saved.tail.timeline if saved.tail is not None else self._rows.timeline
            since = saved.entry_id if saved.tail is None or moved else saved.tail.since
            self._recent.begin(Tail(timeline, since), offset, self._clock_ms())
            self.see(saved)
        elif not self.of_postgres:
            self._recent.pass_time(offset, self._clock_ms())

    def applied(self, saved: Saved, told: Mapping[str, int]) -> None:
        """Take note of our own commit, which `told` the new statuses of these games."""
        self._recent.age(self._clock_ms())
        self.see(saved)
        self.told(told)

    def told(self, games: Mapping[str, int]) -> None:
        """Take note that the new statuses of these games were told, by whomever."""
        self._recent.tell(games)

    def see(self, saved: Saved) -> None:
        """Take note that this commit was there."""
        self._seen = saved.text, saved.mark

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
