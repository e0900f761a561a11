"""Whether the dead letters of a commit are as they should be, those of rows that PostgreSQL refused among them (I7)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from scripts.torturing.contract import CommitRecord, Letter, letter_of
from scripts.torturing.effects import Step
from scripts.torturing.history import Entry, History
from scripts.torturing.reports import Violation
from scripts.torturing.row_faults import REFUSAL
from scripts.torturing.versions import Version


class Refusals:
    """Knows whose rows PostgreSQL may have refused since the last commit: those of `possible`."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._now: frozenset[str] = frozenset()
        self.possible: frozenset[str] = frozenset()
        self._committed: dict[str, int] = {}  # the number of each game's last version that a batch's commit was about

    def begin(self, games: frozenset[str]) -> None:
        """From now on PostgreSQL refuses these, and no others."""
        self._now, self.possible = games, self.possible | games

    def committed(self) -> None:
        """What was refused before a commit is no excuse after it: the fence passes no write that is older."""
        self.possible = self._now

    def wrote(self, version: Version) -> None:
        """Take note of a version that a batch's commit was about."""
        self._committed[version.game_id] = version.n

    def may_split(self, games: Collection[str]) -> bool:
        """Whether a batch of these games may have been written by more than one statement."""
        return not self.possible.isdisjoint(games)

    def refused(self, step: Step, entries: Sequence[Entry]) -> frozenset[str]:
        """Give the games that were refused, as the step's dead letters say."""
        ids = {letter.source_id for letter in _letters(step) if letter.refusal is not None}
        return frozenset(entry.event.game_id for entry in entries if entry.event and str(entry.entry_id) in ids)

    def judge_letters(self, step: Step, entries: Sequence[Entry], refused: Collection[str]) -> Iterator[Violation]:
        """Judge a batch's dead letters: invalid entries, then all events of each game that was refused."""
        invalid = [Letter(str(entry_id), list(parts)) for entry_id, parts, event in entries if event is None]
        events = [
            Letter(str(entry_id), list(parts), f"{REFUSAL}{event.game_id}, SQLSTATE P0001")
            for entry_id, parts, event in entries
            if event is not None and event.game_id in refused
        ]
        found, expected = _letters(step), invalid + events
        if found != expected:
            yield Violation("I7", f"{step.record}: dead letters {found}, expected {expected}")
        if wrongly := set(refused) - self.possible:
            yield Violation("I7", f"{step.record}: PostgreSQL has not refused the rows of {sorted(wrongly)}")

    def follows_uncommitted(self, record: CommitRecord, game_id: str) -> bool:
        """Whether the row has what a batch wrote that was not committed, and of which now nothing more is said."""
        last = self._committed.get(game_id, 0)
        newer = [one.n for one in self._history.before(record, game_id) if one.pid is not None and one.n > last]
        self._committed[game_id] = max(newer, default=last)
        return bool(newer)


def _letters(step: Step) -> list[Letter]:
    return [letter_of(letter[b"letter"]) for letter in step.dead]
