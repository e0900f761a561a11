"""The only place where effects are ordered: settle, read, decode, write, fold, commit, remember (design 3.1).

`consume` and `replay` are both this worker with another `Job`. Whatever fails drops the batch in flight; the next step
settles by what is stored (`settle`, `repair`) and reads it again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from random import random
from time import monotonic, perf_counter
from typing import Final, NoReturn

from gmhealth.core.continuity import Break, Place
from gmhealth.core.events import HealthEvent, InvalidEntry
from gmhealth.core.journal import pack_events
from gmhealth.core.pause import Pause
from gmhealth.errors import Refused, Unavailable
from gmhealth.worker.commits import Commits, Content, FenceLost, Position
from gmhealth.worker.events import Active, BatchDone, BatchHalved, Idle, Observer, Paused, Standby
from gmhealth.worker.job import Job
from gmhealth.worker.outages import Backoff, Outages
from gmhealth.worker.ports import Ledger, Lock, Rows, Saved, Stop, Stream
from gmhealth.worker.reader import Reader, Reading
from gmhealth.worker.repair import Settler
from gmhealth.worker.state import Stage, Standing, State, is_leader
from gmhealth.worker.writer import Writer, Written, dead_letters

KEEP_ALIVE_S: Final = 1.0
"""A session that is used less often than this is taken for frozen (design 3.4)."""
OLD_PRIMARY: Final = "this PostgreSQL is an old primary: the last commit was written to a newer one of its cluster"
RENEW_S: Final = 60.0
"""A commit record's `written_at` grows no older: whoever takes over publishes every row that changed after it."""


class Worker:
    """Runs a `Job` over the ports, one batch a step.

    `name` is unique to this worker: its commits have it. `clock_ms` gives the time for what it notes, `clock` seconds
    that never jump.
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
        clock: Callable[[], float] = monotonic,
        backoff: Backoff = Backoff(),  # noqa: B008  # frozen, so sharing it is harmless
        roll: Callable[[], float] = random,
    ) -> None:
        self._rows, self._job, self._observe, self._clock = rows, job, observe, clock
        self._reader = Reader(stream, job, self._broken)
        self._writer = Writer(rows, swap=job.swap)
        self._commits = Commits(ledger, job, observe, name=name, clock_ms=clock_ms)
        self._settler = Settler(stream, ledger, rows, self._commits, job, observe, clock_ms)
        self._outages = Outages(ledger, rows, observe, backoff, clock_ms=clock_ms, roll=roll)
        self._state: State = Stage.STARTING

    @property
    def done(self) -> bool:
        """Whether a bounded job has come to its end."""
        return self._state is Stage.DONE

    def run(self, stop: Stop) -> None:
        """Step until the job is done or `stop` is set; wait out whatever is unavailable, for as long as it takes."""
        while not (self.done or stop.is_set()):
            try:
                due = self.step()
            except Unavailable as error:
                due = self._outages.met(error, self._job.tries)
            else:
                self._outages.over()
            self._wait(stop, due)

    def step(self) -> float:
        """Make one attempt at one batch; returns the seconds to wait before the next one.

        Raises `Unavailable` (call again), `Unusable`, and `Refused` if a bounded job finds the leader lock taken or
        consumers paused.
        """
        try:
            if not (self._leads() and self._settled()):
                return KEEP_ALIVE_S
            return self._advance()
        except Unavailable as error:
            if error.by_size and (entries := self._reader.failed()) is not None:
                self._observe(BatchHalved(str(error), entries))
            self._unsettle()
            raise
        except FenceLost as lost:
            self._unsettle()
            if lost.by_another:
                self._yield()
            return 0.0

    def _yield(self) -> NoReturn:
        """Give way to who has committed meanwhile; a random wait and standing by follow."""
        self._rows.keep_alive()  # raises why, where the session has ended, and with it the leader lock
        self._rows.close()
        raise Unavailable("another gmhealth, on a leader lock of its own, commits to the same offset")

    def _leads(self) -> bool:
        """Whether this worker has the leader lock. Who has none asks for none while consumers are paused (3.6)."""
        saved = None if is_leader(self._state) or not self._job.moves_offset else self._commits.look()
        if saved is not None and self._pauses(saved):
            return False
        lock = self._rows.lock()
        if lock is Lock.REFUSED:
            self._stand_by(self._rows.holder(), saved)
        elif lock is Lock.TAKEN:  # whoever held it meanwhile may have written
            self._unsettle(taking_over=True)
        return lock is not Lock.REFUSED

    def _stand_by(self, holder: str | None, saved: Saved | None) -> None:
        if self._job.until is not None:
            held = f"another gmhealth holds the leader lock: {holder or 'it did not say which'}"
            if self._state is not Stage.STARTING:  # perhaps our own lost session has it, for some seconds more
                raise Unavailable(held)
            raise Refused(held, hint="wait for it to end, or stop it; `gmhealth status` shows it")
        saved = saved or self._commits.look()  # a standby is one only while both servers answer
        if self._state is not Stage.STANDBY:
            self._observe(Standby(holder))
        self._state = Stage.STANDBY
        self._observe(Idle(saved.entry_id))

    def _settled(self) -> bool:
        """Settle, unless that is done; whether there is a leader's work to do."""
        if isinstance(self._state, Standing):
            return True
        began, saved = self._clock(), self._commits.look()
        if self._pauses(saved):
            return False
        found = self._settler.settle(saved)
        if found is None:
            self._rows.close()
            if self._job.until is not None:
                raise Unavailable(OLD_PRIMARY, server="PostgreSQL", cause="OldPrimary")
            self._stand_by(OLD_PRIMARY, saved)
            return False
        saved, place = found
        if not self._job.moves_offset and self._job.start is not None:
            place = Place(self._job.start.before())
        if self._state is not Stage.AGAIN:
            self._observe(Active(place.offset))
        self._writer.forget()
        self._state = Standing(saved, place, began)
        return True

    def _pauses(self, saved: Saved) -> bool:
        """Whether consumers are paused; if so, ends the session, and with it the lock (design 3.6)."""
        pause = saved.pause if self._job.moves_offset else None  # a replay is what they are paused for
        if pause is None:
            return False
        paused = Paused(pause.who, pause.why, pause.until_ms)
        if self._job.until is not None:
            raise Refused(str(paused), hint="it ends with its key on Redis, which expires; run this again then")
        self._rows.close()
        if not isinstance(self._state, Pause) or self._state.token != pause.token:
            self._observe(paused)
        self._state = pause
        self._observe(Idle(saved.entry_id))
        return True

    def _unsettle(self, *, taking_over: bool = False) -> None:
        """Have the next step settle; nothing of a batch in flight is kept."""
        self._reader.forget()
        if isinstance(self._state, Standing):
            self._state = Stage.AGAIN
        elif taking_over and self._state is not Stage.AGAIN:
            self._state = Stage.TAKING_OVER

    def _advance(self) -> float:
        """Read a batch and apply it, where there is one."""
        at = self._at
        reading = self._reader.read(at.place.offset)
        if self._job.moves_offset:
            saved = self._commits.look() if reading.ahead else reading.read.saved
            if self._pauses(saved):
                return KEEP_ALIVE_S
            if (saved.text, saved.packed) != (at.saved.text, at.saved.packed):
                raise FenceLost(saved, at.saved, self._commits.name)
        place = self._reader.examine(at.place, reading.read)
        if self._job.moves_offset:  # a replay has its range, whatever became of the stream
            self._state = at = replace(at, place=place)
        if at.place.offset < reading.after:
            return 0.0  # another stream has taken this one's place: read that from its beginning
        if reading.read.entries:
            self._apply(at, reading)
        else:
            self._rest(at)
        self._renew()
        return len(reading.read.entries) / self._job.rate if self._job.rate else 0.0

    @property
    def _at(self) -> Standing:
        assert isinstance(self._state, Standing)  # noqa: S101  # `step` asks before
        return self._state

    def _broken(self, broken: Break) -> None:
        if self._job.moves_offset:
            self._commits.note(broken)  # first of all: should it fail, the break is met again
        self._observe(broken)

    def _apply(self, at: Standing, reading: Reading) -> None:
        """Write the batch's rows, then commit it: effects first, offset last (I1)."""
        decoded, place = reading.decode(), at.place.past(reading.read.entries)
        seconds = {"decode": reading.decode_s}
        began = perf_counter()
        written = self._writer.write(self._wanted(decoded.events), at.record.written_at, self._reader.read_ahead)
        seconds["write"] = perf_counter() - began
        self._reader.check()
        letters = (*decoded.invalid, *dead_letters(reading.read.entries, written)) if self._job.moves_offset else ()
        began = perf_counter()
        dropped = self._commit(at, place, written, letters)
        seconds["publish"] = perf_counter() - began
        self._writer.published(written.plan)
        self._reader.went_well()
        self._ended(place)
        entries, plan, refused = len(reading.read.entries), written.plan, written.refused
        self._observe(BatchDone(entries, letters, plan, place.offset, seconds, dropped, refused))

    def _wanted(self, events: Sequence[HealthEvent]) -> Sequence[HealthEvent]:
        games = self._job.games
        return events if games is None else [event for event in events if event.game_id in games]

    def _commit(self, at: Standing, place: Place, written: Written, letters: Sequence[InvalidEntry]) -> int:
        publish, renewed = self._job.publish, self._clock()
        saved, dropped = self._commits.send(
            at.saved,
            Position(place, sets=self._job.moves_offset),
            written_at=written.at or at.record.written_at,
            server=at.record.server,
            verified=True,
            content=Content(
                snapshots=written.plan.snapshots if publish else (),
                dead_letters=letters,
                lines=written.lines,
                journal=pack_events(written.plan.steps, publish=publish) if written.plan.steps else b"",
                job=self._job.name,
            ),
            meanwhile=self._reader.decode_ahead,
        )
        self._state = Standing(saved, place, renewed if written.at else at.renewed)
        return dropped

    def _ended(self, place: Place) -> None:
        """Take note that all up to `place` is done."""
        if self._job.start is not None:
            self._job = replace(self._job, start=place.offset.after())
        if self._job.until is not None and place.offset >= self._job.until:
            self._state = Stage.DONE

    def _rest(self, at: Standing) -> None:
        self._rows.keep_alive()
        if self._job.until is not None:
            self._state = Stage.DONE
        self._observe(Idle(at.place.offset))

    def _renew(self) -> None:
        """Renew the commit record where its time is old, as all that was written has been published by now.

        Also once it can say how many entries were read.
        """
        at, now = self._state, self._clock()
        if not isinstance(at, Standing):
            return
        counted = self._job.moves_offset and at.place.count not in (None, at.record.entries_read)
        if now - at.renewed < RENEW_S and not counted:
            return
        written_at = max(at.record.written_at, self._rows.now())
        saved, _ = self._commits.send(
            at.saved,
            Position(at.place, sets=False),
            written_at=written_at,
            server=at.record.server,
            verified=True,
        )
        self._state = Standing(saved, at.place, now)

    def _wait(self, stop: Stop, seconds: float) -> None:
        """Wait, but keep the session (and with it the leader lock) alive meanwhile."""
        while seconds > 0 and not stop.wait(min(seconds, KEEP_ALIVE_S)):
            seconds -= KEEP_ALIVE_S
            with suppress(Unavailable):
                self._rows.keep_alive()
