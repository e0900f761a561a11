"""Reading the stream batch by batch, the next batch already while the servers work on the one in flight."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Final

from gmhealth.core.batch_size import MOST_ENTRIES, Ceiling, next_limit
from gmhealth.core.continuity import Break, Place, examine
from gmhealth.core.entry import LAST, START, EntryId
from gmhealth.core.events import Decoded, decode_all
from gmhealth.errors import GmhealthError, Unavailable
from gmhealth.worker.job import Job
from gmhealth.worker.ports import Read, Stream

BATCH_BYTES: Final = 32 * 2**20
"""About how much of the stream a batch may hold."""


@dataclass(slots=True)
class Reading:
    """One read, from strictly after `after`, and what its entries mean.

    `ahead`: read while the batch before it was not committed yet, so the offset that it saw is out of date.
    """

    after: EntryId
    read: Read
    full: bool
    ahead: bool
    decode_s: float = 0.0
    _decoded: Decoded | None = None

    def decode(self) -> Decoded:
        """Decode the entries, once."""
        if self._decoded is None:
            began = perf_counter()
            self._decoded = decode_all(self.read.entries)
            self.decode_s = perf_counter() - began
        return self._decoded


class Reader:
    """Reads up to `until` (None: for ever, waiting `block_ms` for something to come); breaks go to `report`.

    In a backlog a batch is read while PostgreSQL writes the one before it, and decoded while Redis appends that one's
    snapshots: a quarter of the time is saved and the order of effects stays what it is.
    """

    def __init__(self, stream: Stream, job: Job, report: Callable[[Break], None]) -> None:
        self._stream, self._until, self._report = stream, job.until, report
        self._batch_size, self._block_ms = job.batch_size, job.block_ms
        self._limit = next_limit((), most_entries=job.batch_size, most_bytes=BATCH_BYTES)
        self._last: Reading | None = None
        self._next: Reading | None = None
        self._failed: Unavailable | None = None
        self._ceiling = Ceiling(job.batch_size)
        self._in_flight = 0  # entries asked for, or read and not committed yet
        self._first = True
        self._last_break: Break | None = None

    def read(self, after: EntryId) -> Reading:
        """Read what comes strictly after `after`; the first time it does not wait for it.

        Nobody has looked yet then whether the stream leads on from there.
        """
        reading, self._next = self._next, None
        if reading is None or reading.after != after:
            reading = self._read(after, 0 if self._first else self._block_ms, ahead=False)
        self._last, self._first, self._in_flight = reading, False, len(reading.read.entries)
        return reading

    def went_well(self) -> None:
        """Take note that what was read last is committed."""
        self._in_flight = 0
        self._ceiling.went_well()

    def failed(self) -> int | None:
        """Ask for half as much after a failure that size can cause; how many entries, None where nothing was read."""
        failed, self._in_flight = self._in_flight, 0
        return self._ceiling.entries if self._ceiling.lower(failed) else None

    def examine(self, place: Place, read: Read) -> Place:
        """Tell where to go on after `read`, which was read from `place`; reports what broke, once (I9)."""
        if read.entries and read.unbroken and place.offset != START:
            return place
        place, broken = examine(place, self._stream.state(), read.entries, there=read.unbroken)
        if broken is not None and broken != self._last_break:
            self._report(broken)
        self._last_break = broken
        return place

    def read_ahead(self) -> None:
        """Read what follows the last read, if there is more; what fails is left for `check`, or for `read` to meet."""
        last = self._last
        if last is not None and last.full:
            after = EntryId.parse(last.read.entries[-1][0]) or last.after
            try:
                self._next = self._read(after, 0, ahead=True)
            except Unavailable as error:
                self._failed = error
            except GmhealthError:
                pass

    def check(self) -> None:
        """Raise what reading ahead failed with: whoever answers next may be another server, which lacks entries."""
        if (failed := self._failed) is not None:
            raise failed

    def decode_ahead(self) -> None:
        """Decode what was read ahead."""
        if self._next is not None:
            self._next.decode()

    def forget(self) -> None:
        """Drop what was read ahead; the next read is a first one."""
        self._last = self._next = self._failed = None
        self._first = True

    def _read(self, after: EntryId, block_ms: int, *, ahead: bool) -> Reading:
        limit = min(self._limit, self._ceiling.entries)
        if not (ahead or block_ms):  # who waits asks for what has not come yet
            self._in_flight = limit
        if self._until is None:
            read = self._stream.read(after, limit, block_ms)
        else:
            read = self._stream.read_range(after, self._until, limit)
        if read.entries:
            self._limit = next_limit(read.entries, most_entries=self._batch_size, most_bytes=BATCH_BYTES)
        return Reading(after, read, full=len(read.entries) >= limit, ahead=ahead)


def summaries_after(stream: Stream, after: EntryId, between: Callable[[], None]) -> dict[str, set[str]]:
    """Tell which summaries the entries after `after` give each game, as far as any batch may reach.

    Read in pages, which hold no more bytes than a batch; `between` is called after each.
    """
    reader = Reader(stream, Job(until=LAST, batch_size=MOST_ENTRIES, block_ms=0), lambda _: None)
    found: dict[str, set[str]] = {}
    left, more = MOST_ENTRIES, True
    while more and left > 0:
        reading = reader.read(after)
        for event in reading.decode().events:
            found.setdefault(event.game_id, set()).add(event.type.summary)
        if more := reading.full:
            left -= len(reading.read.entries)
            after = EntryId.parse(reading.read.entries[-1][0]) or LAST
        between()
    return found
