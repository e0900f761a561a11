"""Whether rows that PostgreSQL set back got again what they had lost, and no others anything (I1, I10; design 3.4, 2).

What is lost is a write whose commit is on Redis; one that was not committed is read again.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, NamedTuple

from gmhealth.core.entry import LAST
from gmhealth.core.journal import Line
from scripts.torturing.contract import CommitRecord, microseconds
from scripts.torturing.effects import Step
from scripts.torturing.feed import quiet
from scripts.torturing.history import History
from scripts.torturing.journal import lines_of
from scripts.torturing.keys import Keys
from scripts.torturing.reports import Violation
from scripts.torturing.versions import Version

RUNS: Final = 5
"""So many runs a loss may reach back, at the most."""

RECENT_S: Final = 50.0
"""Of the last minute of writes, that much for sure."""


class Again(Enum):
    """Whether a row is to be written again. MAY: it depends on what is not known, or is a limit that README names."""

    MUST = "must"
    MAY = "may"
    NOT = "not"


class Known(NamedTuple):
    """How many lines of each game there are, and which loss is the last that was verified."""

    lines: Mapping[str, int]
    settled: int


@dataclass(slots=True)
class Losses:
    """Knows what commits say of each row, and which rows PostgreSQL has set back since they were last verified.

    `unsure`: games of which it cannot be told what they have to be. `forgotten`: games whose entries are gone, and may
    have been written before; if PostgreSQL starts again, an older write may be done again (README, "Not covered").
    """

    history: History
    unsure: set[str] = field(default_factory=set)
    forgotten: set[str] = field(default_factory=set)
    _lines: dict[str, list[Line]] = field(default_factory=lambda: defaultdict(list))
    _doubted: deque[frozenset[str]] = field(default_factory=lambda: deque(maxlen=RUNS))
    _settled: int = 0  # the last loss that was verified, by its number
    _mended: int = 0  # the same, whatever Redis has forgotten since

    def committed(self, step: Step) -> None:
        """Take note of what a commit says of the rows."""
        for line in lines_of(step.writes):
            self._lines[line.game_id].append(line)

    def so_far(self) -> Known:
        """Give what `go_back` needs to forget what comes from now on."""
        return Known({game_id: len(lines) for game_id, lines in self._lines.items()}, self._settled)

    def go_back(self, known: Known) -> None:
        """Forget what Redis has forgotten."""
        self._settled = known.settled
        for game_id, lines in self._lines.items():
            del lines[known.lines.get(game_id, 0) :]

    def before(self, record: CommitRecord) -> list[Version]:
        """Give the losses that the server of a commit had started after, and that were not verified before it."""
        return [one for one in self.history.losses if one.n > self._settled and one.at * 10**6 < record.started_us]

    def again(self, keys: Keys, record: CommitRecord, loss: Version) -> Again:
        """Say whether what `loss` took from a row is to be written again: only if it left the row another one."""
        newer = self._newer(loss)
        if not newer:
            return Again.NOT
        last, game_id = newer[-1], loss.game_id
        others = [one for one in self.history.before(record, game_id) if one.n > loss.n and one.pid is None]
        if not others and (loss.status, loss.health) == (last.status, last.engine_health):
            return Again.NOT
        if loss.n <= self._mended or self._is_old(last, record):
            return Again.MAY
        if not last.summary:  # it was published as the row stood: by which event it was so is not known
            return Again.MAY
        if loss.health == last.engine_health:
            return Again.MUST if quiet(game_id) and self._leads_there(newer, record) else Again.MAY
        return Again.MAY if others and loss.health in self._unprovable(keys, game_id) else Again.MUST

    def _is_old(self, line: Line, record: CommitRecord) -> bool:
        """Whether the last minute of writes, which is all that settling knows, may lack this one."""
        return microseconds(line.updated_at) < (self.history.at(record) - RECENT_S) * 10**6

    def _leads_there(self, newer: Sequence[Line], record: CommitRecord) -> bool:
        """Whether the last transition of these lines leads to the status that the last one left."""
        targets = [line.target for line in newer if line.target and not self._is_old(line, record)]
        return bool(targets) and targets[-1] == newer[-1].status

    def _is_restored(self, written: Sequence[Version], newer: Sequence[Line], record: CommitRecord) -> bool:
        """Whether a row has got what it had lost; its status as well, where nobody else moves it."""
        if not written or written[-1].health != newer[-1].engine_health:
            return False
        status_counts = quiet(written[-1].game_id) and self._leads_there(newer, record)
        return not status_counts or written[-1].status == newer[-1].status

    def _newer(self, loss: Version) -> list[Line]:
        """Give what was lost; settling may have committed lines of its own since."""
        until = loss.at * 10**6
        lines = self._lines[loss.game_id]
        return [line for line in lines if loss.updated_us < microseconds(line.updated_at) < until]

    def _unprovable(self, keys: Keys, game_id: str) -> set[str]:
        """Summaries that show nothing in a row that somebody else has written since: none, or of a batch in flight."""
        events = [entry.event for entry in self.history.entries(keys.offset, LAST)]
        return {""} | {event.summary for event in events if event is not None and event.game_id == game_id}

    def judge(self, keys: Keys, record: CommitRecord, refused: Collection[str]) -> Iterator[Violation]:
        """Judge what was written again when a commit says that it has verified the rows; not of `refused` games."""
        newest = {loss.game_id: loss for loss in self.before(record)}
        for game_id, loss in newest.items():
            newer, again = self._newer(loss), self.again(keys, record, loss)
            ours = [one for one in self.history.before(record, game_id) if one.n > loss.n and one.pid is not None]
            if again is Again.MUST and game_id not in refused and not self._is_restored(ours, newer, record):
                yield Violation("I1", f"{record} did not write {newer} again, lost by {loss}, but {ours}")
            doubted = any(game_id in games for games in self._doubted) and not all(line.summary for line in newer)
            if doubted or game_id in refused or any(self._is_old(line, record) for line in newer):
                self.unsure.add(game_id)
        self._settled = max([self._settled, *(loss.n for loss in newest.values())])
        self._mended = max(self._mended, self._settled)

    def next_run(self, unsure: Collection[str]) -> None:
        """Take note of the games whose events nobody has run as they came: a row of theirs has no write to repeat."""
        self._doubted.append(frozenset(unsure))
        self.unsure.clear()
        self.forgotten.clear()
