"""Whether every promise was kept: what happened on Redis, step by step, against the versions of the rows.

Knows neither what the consumer remembered nor what it was asked; only what became durable, and in which order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from gmhealth.core.entry import START, EntryId
from scripts.torturing.contract import Event, Folded, event_of, fold, letter_of
from scripts.torturing.effects import Fed, Fields, Sent, Step
from scripts.torturing.feed import quiet
from scripts.torturing.record import Evidence, Record
from scripts.torturing.reports import Reports, Violation
from scripts.torturing.versions import Row, Version


class Told(NamedTuple):
    """What Lobby heard last of a game."""

    summary: str
    worker: str
    at: float
    step: int


@dataclass(slots=True)
class Run:
    """What is to be known of the run that is judged."""

    fence_only: bool
    others_moved: bool  # whether somebody else moved the offset, or committed
    unsure: set[str] = field(default_factory=set)  # games whose events an operator skipped
    found: list[Violation] = field(default_factory=list)


class Judge:
    """Follows one lane from run to run, from the rows as they were at first."""

    def __init__(self, rows: Mapping[str, Row]) -> None:
        self._record, self._reports = Record(dict(rows)), Reports()
        self._model = dict(rows)  # as they have to be, unless somebody else writes them
        self._offset: EntryId = START
        self._told: dict[str, Told] = {}
        self._steps = self._followed = self._sent = 0
        self._worker = ""
        self._run = Run(fence_only=False, others_moved=False)

    def judge(self, evidence: Evidence) -> list[Violation]:
        """Judge a run that has been drained; give what it found."""
        self._run = Run(evidence.fence_only, others_moved=evidence.fence_only)
        self._record.add(evidence)
        for effect in evidence.effects:
            self._take(effect)
        first_only = not evidence.fence_only  # the other worker's step may come first, and know nothing of it
        self._run.found += self._reports.judge(evidence.versions, self._record.versions, first_only=first_only)
        self._judge_end(evidence)
        self._record.next_run(evidence.rows)
        self._model = dict(evidence.rows)
        return self._run.found

    def _violated(self, rule: str, text: str) -> None:
        self._run.found.append(Violation(rule, text))

    def _take(self, effect: Fed | Step) -> None:
        if isinstance(effect, Fed):
            self._record.feed(effect)
            return
        self._steps += 1
        self._sent += len(effect.sent)
        if effect.audit is not None:
            self._reset(effect, effect.audit)
        else:
            self._consumed(effect)

    def _consumed(self, step: Step) -> None:
        if step.mark is None:
            self._violated("I5", f"a step on Redis without a mark: {step}")
            return
        if step.worker != self._worker:
            self._worker, self._followed = step.worker, self._steps
        if step.offset is None:
            self._repair(step)
        else:
            self._commit(step, step.offset)
        self._record.committed(step)

    def _reset(self, step: Step, audit: Fields) -> None:
        old, new = EntryId.parse(audit[b"old"]) or START, step.offset or START
        if old != self._offset:
            self._violated("I1", f"the offset was {old} when it was reset, and {self._offset} by the commits so far")
        self._run.others_moved, self._followed = True, self._steps
        self._run.unsure |= {event.game_id for event in self._record.events(old, new)}
        self._offset = new

    def _commit(self, step: Step, offset: EntryId) -> None:
        before, self._offset = self._offset, offset
        entries = self._record.entries(before, offset)
        if not entries or entries[-1][0] != offset:
            self._violated("I6", f"a commit moved the offset from {before} to {offset}: {step.mark}")
            return
        self._judge_letters(step, entries)
        events = self._record.events(before, offset)
        games = defaultdict(list)
        for event in events:
            games[event.game_id].append(event)
        sent = {one.at: one for one in step.sent}
        if [one.at for one in step.sent] != [event.at for event in events if event.at in sent]:
            self._violated("I5", f"{step.mark} sent what is not of its batch ({before}, {offset}]: {step.sent}")
        for game_id, of_game in games.items():
            self._judge_game(step, game_id, of_game, sent)

    def _judge_letters(self, step: Step, entries: Sequence[tuple[EntryId, tuple[bytes, ...]]]) -> None:
        expected = [(str(entry_id), list(parts)) for entry_id, parts in entries if event_of(parts) is None]
        found = [letter_of(letter[b"letter"]) for letter in step.dead]
        if found != expected:
            self._violated("I7", f"{step.mark}: dead letters {found}, expected {expected}")

    def _judge_game(self, step: Step, game_id: str, events: Sequence[Event], sent: Mapping[int, Sent]) -> None:
        if game_id not in self._model:
            if any(event.at in sent for event in events):
                self._violated("D5", f"a snapshot of {game_id}, which has no row")
            return
        version = self._record.written(step, game_id)
        folded = self._judge_write(step, version, events)
        said = [one for each in folded if (one := self._judge_sent(step, version.turn, each, sent)) is not None]
        self._reports.covered(game_id, self._record.at(step), said)
        last = fold(events, self._model[game_id].status)[-1]
        self._model[game_id] = Row(last.status, self._model[game_id].turn, last.event.summary)

    def _judge_write(self, step: Step, version: Version, events: Sequence[Event]) -> list[Folded]:
        """I1: the rows are written when the offset passes; and they say what the events call for."""
        folded = fold(events, version.old_status)
        if (version.status, version.health) != (folded[-1].status, events[-1].summary):
            self._violated("I1", f"{step.mark} passed {events}, and the last that was written is {version}")
        return folded

    def _judge_sent(self, step: Step, turn: int, folded: Folded, sent: Mapping[int, Sent]) -> Sent | None:
        """D4, D5: a transition and another summary are told, as the row stood, and nothing else is."""
        event, status, swapped = folded
        found, told = sent.get(event.at), self._told.get(event.game_id)
        needed = swapped or told is None or told.summary != event.summary
        if found is None:
            if needed:
                self._violated("I3" if swapped else "D4", f"{step.mark} does not tell {event}; told before: {told}")
            return None
        expected = Sent(event.game_id, turn, status, event.summary, event.at)
        if found != expected:
            self._violated("D5", f"{step.mark} sent {found}, expected {expected}")
        if told is not None and not needed and not self._had_to_forget(told, step):
            self._violated("I5", f"{step.mark} repeats {found}; told before: {told}")
        self._told[event.game_id] = Told(event.summary, step.worker, self._record.at(step), self._steps)
        return found

    def _had_to_forget(self, told: Told, step: Step) -> bool:
        """A new process, another's move, or a failure: what was said before may be said again (I3)."""
        others = told.worker != step.worker or told.step < self._followed
        return others or self._record.disturbed(told.at, self._record.at(step))

    def _repair(self, step: Step) -> None:
        """I6: after somebody else moved the offset, games are told of as they are."""
        if not self._run.others_moved:
            self._violated("I5", f"a repair, and nobody has moved the offset: {step}")
        at = self._record.at(step)
        for one in step.sent:
            was = {version.row for version in self._record.versions[one.game_id] if version.at < at}
            if Row(one.status, one.turn, one.summary) not in was | {self._record.base[one.game_id]}:
                self._violated("D5", f"{step.mark} tells what no row has been: {one}")
            self._told[one.game_id] = Told(one.summary, "a repair, after which it may be said again", at, self._steps)
            self._reports.covered(one.game_id, at, [one])

    def _judge_end(self, evidence: Evidence) -> None:
        ids = self._record.ids
        if ids and self._offset != ids[-1]:
            self._violated("I1", f"drained, and the offset is {self._offset}, not {ids[-1]}")
        if evidence.lobby != self._sent:
            self._violated("I5", f"{self._sent} snapshots were committed, and {evidence.lobby} are there")
        for game_id, row in evidence.rows.items():
            sure = quiet(game_id) and game_id not in self._run.unsure and not evidence.fence_only
            if sure and self._model[game_id] != row:
                self._violated("I10", f"{game_id} is {row}, and by the model {self._model[game_id]}")
