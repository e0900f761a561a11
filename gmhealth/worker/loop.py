"""The only place where effects are ordered: read, decode, write, fold, publish, remember (design 3.1).

`consume` and `replay` are both this worker with another `Job`. A step that fails leaves its batch in hand; the next
one asks Redis what became of it and, unless it was applied, writes it again over the rows as they then are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from random import random
from time import perf_counter
from typing import Final

from gmhealth.core.backoff import Backoff
from gmhealth.core.batch_size import MOST_ENTRIES
from gmhealth.core.continuity import Break, Place, examine
from gmhealth.core.debounce import remember
from gmhealth.core.entry import START, EntryId
from gmhealth.core.events import Decoded, HealthEvent
from gmhealth.core.mapping import EFFECTS
from gmhealth.core.mark import includes
from gmhealth.core.snapshot import Snapshot
from gmhealth.core.tail import Tail
from gmhealth.errors import Refused, Unavailable, Unusable, WrittenInVain
from gmhealth.worker.commits import Commits
from gmhealth.worker.events import (
    Active,
    BatchDone,
    FailedOver,
    Idle,
    Observer,
    OffsetMoved,
    Recovered,
    RolledBack,
    Standby,
    Waiting,
)
from gmhealth.worker.failover import Failover
from gmhealth.worker.job import Job
from gmhealth.worker.outages import Outages
from gmhealth.worker.ports import Commit, Ledger, Lock, Read, Rows, Saved, Stop, Stream
from gmhealth.worker.reader import Reader, events_between
from gmhealth.worker.standby import Lookout
from gmhealth.worker.writer import Writer

KEEP_ALIVE_S: Final = 1.0
"""A session that is used less often than this is taken for frozen (design 3.4)."""


@dataclass(slots=True)
class _Batch:
    """The batch in hand, from its read to its commit, which leaves the offset at `after`.

    `last` is the place after all that was read, `after` may be less where a promoted Redis lacks some of it.
    `inherited`: games whose status a dead worker may have moved for it. They are not owed, as whoever reads the batch
    tells of them; but a promoted Redis may lack it, and then nobody else knows (I3).
    """

    entries: int
    decoded: Decoded
    after: Place
    last: Place
    attempts: int = 0
    inherited: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Unsettled:
    """A commit whose outcome is unknown until Redis is asked; `done` is None for a repair.

    `latest`: nobody can have written since, so that what it says is the last that was said.
    """

    commit: Commit
    done: BatchDone | FailedOver | None
    latest: bool = True


class Worker:
    """Runs a `Job` over the ports, one batch a step.

    `name` is unique to this worker: its commits are marked with it. `clock_ms` gives the time for what it notes.
    """

    def __init__(
        self,
        stream: Stream,
        ledger: Ledger,
        rows: Rows,
        *,
        job: Job,
        observe: Observer,
        name: str,
        clock_ms: Callable[[], int],
        backoff: Backoff = Backoff(),  # noqa: B008  # frozen, so sharing it is harmless
        roll: Callable[[], float] = random,
    ) -> None:
        self._stream, self._ledger, self._rows = stream, ledger, rows
        self._reader = Reader(stream, until=job.until, batch_size=job.batch_size, block_ms=job.block_ms)
        self._writer = Writer(rows, swap=job.swap)
        self._job, self._observe = job, observe
        self._clock_ms, self._backoff, self._roll = clock_ms, backoff, roll
        self._saved: Saved | None = None
        self._place = Place() if job.start is None else Place(job.start.before())
        self._hand: _Batch | None = None
        self._unsettled: _Unsettled | None = None
        self._in_doubt = True  # whether Redis must be asked where we stand before the next effect
        self._standing_by = False
        self._unseen = True  # whether nobody has looked yet if the stream leads on from the place: not to wait first
        self._emitted: dict[str, str] = {}  # the last summary sent per game (D4)
        self._owed: dict[str, int] = {}  # games whose status may have been moved without Lobby knowing (I3)
        self._inherited = 0  # entries that whoever had the lock before us may have written and not told
        self._failover = Failover(stream, rows, job, clock_ms)
        self._commits = Commits(rows, self._failover, job, name)
        self._lookout = Lookout(ledger, self._failover, self._commits, observe)
        self._last_break: Break | None = None
        self._outages = Outages(ledger, rows, clock_ms)
        self._due = 0.0  # seconds to wait for the job's rate
        self.done = False

    def run(self, stop: Stop) -> None:
        """Step until the job is done or `stop` is set; wait out whatever is unavailable, for as long as it takes."""
        failures = 0
        while not (self.done or stop.is_set()):
            try:
                self.step()
            except Unavailable as error:
                failures += 1
                if failures == self._job.tries:
                    raise
                delay = self._backoff.delay(failures, self._roll())
                self._observe(Waiting(str(error), delay, failures))
                self._outages.met(error, failures)
                self._pause(stop, delay)
                continue
            if failures:
                self._observe(Recovered(failures))
                self._outages.over()
                failures = 0
            self._pause(stop, KEEP_ALIVE_S if self._standing_by else self._due)

    def step(self) -> None:
        """Make one attempt at one batch.

        Raises `Unavailable` (the batch stays in hand, call again), `Unusable`, `Refused` if a bounded job finds the
        writer's lock taken, and `WrittenInVain` if a replay finds PostgreSQL failed over.
        """
        try:
            if self._locked():
                if self._in_doubt:
                    self._settle()
                if self._failover.of_postgres:
                    self._begin_again()
                if self._failover.under_replay():
                    raise WrittenInVain("PostgreSQL failed over meanwhile, and may lack what the replay has written")
                if self._owed and self._hand is None:
                    self._repair()
                if self._hand is None:
                    self._read()
                if self._hand is not None:
                    self._work(self._hand)
        except Unavailable:
            self._in_doubt = True
            self._reader.forget()
            raise

    def _locked(self) -> bool:
        lock = self._rows.lock()
        if lock is Lock.REFUSED:
            self._stand_by()
        elif lock is Lock.TAKEN:
            # Whoever held it meanwhile may have moved a status, died, and left no trace on Redis (I3).
            self._in_doubt, self._inherited = True, MOST_ENTRIES
            self._forget_all()
        return lock is not Lock.REFUSED

    def _stand_by(self) -> None:
        holder = self._rows.holder()
        if self._job.until is not None:
            held = f"another gmhealth holds the writer's lock: {holder or 'it did not say which'}"
            if self._saved is not None:  # we had it: perhaps our own lost session has it, for some seconds more
                raise Unavailable(held)
            raise Refused(held, hint="wait for it to end, or stop it; `gmhealth status` shows it")
        saved = self._ledger.saved()  # a standby is one only while both servers answer
        self._settle_own(saved)
        self._failover.lose(self._take_unknown(saved))
        self._lookout.look(saved)
        if not self._standing_by:
            self._observe(Standby(holder))
        self._standing_by = True
        self._observe(Idle(saved.entry_id))

    def _take_unknown(self, saved: Saved) -> dict[str, int]:
        """What is to be told that nobody but us knows of (I3): not of the batch in hand, which others can read.

        Unless Redis lost some of it, or it was trimmed.
        """
        owed, inherited, hand = self._owed, self._of_hand, self._hand
        if hand is None or not (owed or inherited):
            self._owed = {}
            return owed
        if not (self._failover.has(self._place) and self._failover.has(hand.last)):
            self._owed, hand.inherited = {}, {}
            return {**inherited, **owed}
        games = {event.game_id for event in hand.decoded.events}
        self._owed = {game_id: at for game_id, at in owed.items() if game_id in games}
        if saved.entry_id >= hand.last.offset:  # they have read it, and told it
            self._failover.told({**inherited, **self._owed})
            self._hand, self._owed = None, {}
        return {game_id: at for game_id, at in owed.items() if game_id not in games}

    def _settle(self) -> None:
        """Ask Redis where we stand: after a start, a failure, or another writer's turn (I5)."""
        saved = self._ledger.saved()
        self._settle_own(saved)
        taking_over = self._saved is None or self._standing_by
        rollback = self._failover.rollback(saved)
        self._owed = {**self._failover.take_lost(), **self._owed}  # also if it failed before it came to stand by
        if taking_over:
            self._owe_skipped(saved)
        if self._saved is None:
            self._adopt(saved)
            if rollback is not None:
                self._observe(rollback)
                rollback = None
        self._unsettled, self._in_doubt = None, False
        if rollback is not None or self._moved(saved) or (self._saved is not None and saved.mark != self._saved.mark):
            self._follow(saved, rollback)
        if self._hand is not None:
            self._hand.after = self._failover.outlasted(self._place, self._hand.after)
        self._standing_by = False  # only now: what fails on the way is done again, and then said
        if taking_over:
            self._observe(Active(self._place.offset))

    def _settle_own(self, saved: Saved) -> None:
        """Take note of what the mark says was applied after all, though the answer was lost."""
        if self._unsettled is not None and includes(saved.mark, self._unsettled.commit.mark):
            self._applied(self._unsettled)
            self._unsettled = None
        self._lookout.settle(saved)

    def _owe_skipped(self, saved: Saved) -> None:
        """Owe a word about the batch that a dead writer may have had in hand when the offset was moved past it.

        Its rows may be written and its snapshots not sent, and nobody will read it again (I3). Comes before `saved`
        is adopted: should this read fail, the move is seen again.
        """
        left = EntryId.parse(saved.committed or "") or START
        if not self._job.moves_offset or saved.entry_id <= left:
            return
        for event in events_between(self._stream, left, saved.entry_id, MOST_ENTRIES):
            if EFFECTS[event.type].transition is not None:
                self._owed[event.game_id] = event.occurred_at_ms

    def _moved(self, saved: Saved) -> bool:
        return self._job.moves_offset and saved.text != self._fence

    @property
    def _fence(self) -> str | None:
        return self._saved.text if self._saved else None

    @property
    def _of_hand(self) -> dict[str, int]:
        return self._hand.inherited if self._hand is not None else {}

    def _adopt(self, saved: Saved) -> None:
        self._saved = saved
        if not self._job.moves_offset:
            self._failover.see(saved)
            return
        self._place, self._hand, self._unseen = Place(saved.entry_id, read=saved.was_read), None, True
        self._failover.watch(saved, saved.entry_id)

    def _begin_again(self) -> None:
        """Set the offset back over what the last timeline's end may have had, and this one has not (design 3.4).

        It is one fenced commit: whoever reads on from there, however often this worker dies, runs all of it.
        """
        offset = self._place.offset
        tail, self._hand = self._failover.to_run_again(offset), None
        commit = self._commits.make(self._saved, None if tail.since == offset else tail.since, self._owing())
        commit = replace(commit, tail=tail)
        self._publish(_Unsettled(commit, FailedOver(tail.timeline, offset, tail.since)))

    def _follow(self, saved: Saved, rollback: RolledBack | None = None) -> None:
        """Somebody else moved the offset, or wrote: they win (I6).

        Adopting another offset always leaves our mark. Where only the mark has changed and nothing is owed it does
        not: two workers would answer each other's marks for ever.
        """
        self._owe_skipped(saved)
        old, moved = self._fence, self._moved(saved)
        rollback = rollback or self._failover.rollback(saved)
        if rollback is not None:
            old = rollback.old
            self._owed = {**self._failover.take_lost(), **self._of_hand, **self._owed}
        self._adopt(saved)
        self._forget_all()
        self._observe((OffsetMoved if rollback is None else RolledBack)(old, saved.text, len(self._owed)))
        if self._hand is None and (moved or self._owed):
            self._repair()

    def _repair(self) -> None:
        """Tell about games whose status may have been moved and not reported: their rows as they are now (I3, I6).

        With nobody to tell about, it still leaves our mark, which shows that the new offset was adopted.
        """
        self._publish(_Unsettled(self._commits.make(self._saved, None, self._owing()), None))

    def _owing(self) -> list[Snapshot]:
        return self._commits.as_they_are(self._owed)

    def _read(self) -> None:
        before = self._place.offset
        reading = self._reader.read(before, wait=not self._unseen)
        self._unseen = False
        read = reading.read
        saved = self._ledger.saved() if reading.ahead else read.saved
        if self._moved(saved) or self._failover.went_back(saved):
            self._follow(saved)
            return
        if self._job.moves_offset:
            self._failover.watch(saved, before)
        if not (read.entries and read.unbroken) or self._place.anew:
            self._examine(read)
        if self._place.offset < before:
            # Another stream has taken this one's place: read that from its beginning.
            self._failover.begin(Tail(self._rows.timeline, START))
            return
        if read.entries:
            decoded, place = reading.decode(), self._place.past(read.entries)
            self._hand = _Batch(len(read.entries), decoded, place, place, seconds={"decode": reading.decode_s})
        else:
            self._rest()

    def _examine(self, read: Read) -> None:
        place, broken = examine(self._place, self._stream.state(), read.entries, there=read.unbroken)
        if broken is not None and broken != self._last_break:
            if self._job.moves_offset:
                with suppress(Unusable):  # log and metrics have it as well, and what a user may not do `doctor` tells
                    self._ledger.note(broken, self._clock_ms())  # first of all: should it fail, the break is met again
            self._observe(broken)
        self._last_break = broken
        if self._job.moves_offset:  # a replay has its range, whatever became of the stream
            self._place = place

    def _rest(self) -> None:
        self.done = self._job.until is not None
        self._rows.keep_alive()
        self._observe(Idle(self._place.offset))

    def _work(self, batch: _Batch) -> None:
        batch.attempts, again = batch.attempts + 1, batch.attempts > 0
        events, invalid = self._wanted(batch.decoded.events), batch.decoded.invalid
        if again:
            self._forget(events)
        began = perf_counter()
        plan = self._writer.write(events, self._emitted, self._owed, self._reader.read_ahead)
        batch.seconds["write"] = perf_counter() - began
        if self._inherited > 0:
            batch.inherited = plan.arrived
        self._reader.check()
        commit = self._commits.make(
            self._saved,
            batch.after.offset if self._job.moves_offset else None,
            plan.snapshots if self._job.publish else (),
            invalid if self._job.moves_offset else (),
            read=batch.after.read,
        )
        done = BatchDone(batch.entries, invalid, plan, batch.after.offset, batch.seconds)
        self._publish(_Unsettled(commit, done))

    def _wanted(self, events: Sequence[HealthEvent]) -> Sequence[HealthEvent]:
        games = self._job.games
        return events if games is None else [event for event in events if event.game_id in games]

    def _forget(self, events: Iterable[HealthEvent]) -> None:
        """A lost COMMIT answer may hide a swap that happened: say everything again (I3)."""
        for event in events:
            self._emitted.pop(event.game_id, None)

    def _forget_all(self) -> None:
        self._emitted.clear()
        if self._unsettled is not None:
            self._unsettled = replace(self._unsettled, latest=False)

    def _publish(self, unsettled: _Unsettled) -> None:
        self._unsettled = unsettled
        began = perf_counter()
        outcome = self._ledger.commit(unsettled.commit, self._reader.decode_ahead)
        if self._hand is not None:
            self._hand.seconds["publish"] = perf_counter() - began
        self._unsettled = None
        if isinstance(outcome, Saved):
            self._follow(outcome)
        else:
            self._applied(unsettled, outcome.letters if outcome else 0)

    def _applied(self, settled: _Unsettled, dropped: int = 0) -> None:
        commit = settled.commit
        offset = commit.offset
        text, place = (self._fence, self._place.offset) if offset is None else (str(offset), offset)
        self._saved = Saved(text, commit.mark, place)
        done = settled.done
        told, self._owed = self._owed, {}
        if isinstance(done, BatchDone) and told:  # which tells of its own games alone
            games = {step.event.game_id for step in done.plan.steps}
            self._owed = {game_id: at for game_id, at in told.items() if game_id not in games}
            told = {game_id: at for game_id, at in told.items() if game_id in games}
        self._failover.applied(self._saved, {**self._of_hand, **told})
        if isinstance(done, FailedOver) and commit.tail is not None:
            self._failover.begin(commit.tail)
            self._place = Place(done.start) if done.start < done.offset else self._place
            self._observe(done)
        if not isinstance(done, BatchDone) or self._hand is None:
            return
        if settled.latest:
            remember(self._emitted, done.plan.summaries)
        self._inherited -= self._hand.entries
        self._due = self._hand.entries / self._job.rate if self._job.rate else 0.0
        self._place, self._hand = self._hand.after, None
        self.done = self._job.until is not None and self._place.offset >= self._job.until and not self._owed
        self._observe(replace(done, dropped=dropped) if dropped else done)

    def _pause(self, stop: Stop, seconds: float) -> None:
        """Wait, but keep the session (and with it the writer's lock) alive meanwhile."""
        while seconds > 0 and not stop.wait(min(seconds, KEEP_ALIVE_S)):
            seconds -= KEEP_ALIVE_S
            with suppress(Unavailable):
                self._rows.keep_alive()
