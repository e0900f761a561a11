"""Whether every promise was kept: what happened on Redis, step by step, against the versions of the rows.

Knows neither what the consumer remembered nor what it was asked; only what became durable, and in which order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from gmhealth.core.entry import START, EntryId
from scripts.torturing.contract import CommitRecord, Event, Folded, fold
from scripts.torturing.effects import (
    OFFSET,
    Copied,
    Deleted,
    Effect,
    Fed,
    Fields,
    Noted,
    Refusing,
    Sent,
    Step,
    Trimmed,
    WentBack,
)
from scripts.torturing.feed import quiet
from scripts.torturing.history import Entry, Evidence, History
from scripts.torturing.journal import judge_events, judge_writes
from scripts.torturing.keys import Keys
from scripts.torturing.losses import Known, Losses
from scripts.torturing.refusals import Refusals
from scripts.torturing.reports import Reports, Violation
from scripts.torturing.settling import Settling
from scripts.torturing.versions import Row, Version


@dataclass(slots=True)
class Run:
    """What is to be known of the run that is judged."""

    fence_only: bool = False
    unsure: set[str] = field(default_factory=set)  # games whose events nobody will run, or not in this order
    trimmed: int = 0  # entries that nobody had read
    noted: int = 0  # of these, as the consumer has said
    found: list[Violation] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Copy:
    """What Redis held when it was copied."""

    keys: Keys
    commits: int
    entries: int
    sent: int
    covered: Mapping[str, int]
    losses: Known


class Judge:
    """Follows one lane from run to run, from the rows as they were at first."""

    def __init__(self, rows: Mapping[str, Row]) -> None:
        self._history, self._reports = History(dict(rows)), Reports()
        self._model = dict(rows)  # as they have to be, unless somebody else writes them
        self._keys = Keys()
        self._copies: dict[int, Copy] = {}
        self._published: dict[str, str] = {}  # what the leader remembers: the last summary of each game
        self._commits = self._sent = 0
        self._may_have_gone_back = False
        self._lost_commit: CommitRecord | None = None  # that its worker has seen, and Redis has lost
        self._run = Run()
        self._losses = Losses(self._history)
        self._settling = Settling(self._history, self._reports, self._losses)
        self._refusals = Refusals(self._history)

    def judge(self, evidence: Evidence) -> list[Violation]:
        """Judge a run that has been drained; give what it found."""
        self._run = Run(evidence.fence_only)
        self._history.add(evidence)
        for effect in evidence.effects:
            self._take(effect)
        judged = self._reports.judge(evidence.versions, self._history.versions, fence_only=evidence.fence_only)
        self._run.found += judged
        self._judge_end(evidence)
        self._history.next_run(evidence.rows)
        self._losses.next_run(self._run.unsure)
        self._model = dict(evidence.rows)
        return self._run.found

    def _violated(self, rule: str, text: str) -> None:
        self._run.found.append(Violation(rule, text))

    def _take(self, effect: Effect) -> None:
        match effect:
            case Fed():
                self._history.feed(effect)
            case Trimmed(left):
                self._trim(left)
            case Deleted(key):
                self._delete(key)
            case Noted():
                self._note(effect)
            case Copied(number):
                self._copies = {number: self._copy()}
            case WentBack(number):
                self._go_back(self._copies[number])
            case Refusing(games):
                self._refusals.begin(games)
            case _:
                self._sent += len(effect.sent)
                if effect.audit is not None:
                    self._reset(effect, effect.audit)
                else:
                    self._consumed(effect)

    def _consumed(self, step: Step) -> None:
        record = step.record
        if record is None:
            self._violated("I5", f"a step on Redis without a commit record: {step}")
            return
        if self._keys.is_moved_by(step):
            self._follow(record)
            self._commit(step, record)
        else:
            self._settle(step, record)
        self._commits += 1
        self._refusals.committed()
        self._losses.committed(step)
        for rule, text in self._keys.committed(step, record, self._history.count):
            self._violated(rule, text)
        self._history.committed(record)

    def _settle(self, step: Step, record: CommitRecord) -> None:
        """After a fault everything is published as it stands, and what was published before is forgotten."""
        lost, self._lost_commit = self._lost_commit, None
        if lost is not None and lost.worker == record.worker:
            self._violated("I9", f"Redis has lost {lost}, and {record} came without a word about it")
        renewed = self._settling.is_renewal(self._keys, step, record)
        refused, fence_only = self._refusals.possible, self._run.fence_only
        self._run.found += self._settling.judge(self._keys, step, record, refused, fence_only=fence_only)
        if not renewed:
            self._published.clear()

    def _follow(self, record: CommitRecord) -> None:
        """I5, I6: a batch is committed only by whoever committed last, and has settled; nobody came in between."""
        last = self._keys.last
        if self._keys.interrupted or last is None or last.worker != record.worker or not last.verified:
            self._violated("I6", f"{record} came after {last}, and before it settled")

    def _reset(self, step: Step, audit: Fields) -> None:
        old, new = EntryId.parse(audit[b"old"]) or START, step.offset or START
        if old != self._keys.offset and not self._keys.offset_deleted:
            self._violated("I1", f"the offset was {old} when it was reset, and {self._keys.offset} by the commits")
        self._doubt(self._history.entries(old, new))
        if new > old:
            self._run.trimmed = 0  # what was trimmed is passed, so nobody meets the gap
        self._keys.reset(new)

    def _doubt(self, entries: Sequence[Entry]) -> set[str]:
        games = {entry.event.game_id for entry in entries if entry.event is not None}
        self._run.unsure |= games
        return games

    def _delete(self, key: bytes) -> None:
        self._keys.delete(key)
        self._may_have_gone_back |= key != OFFSET

    def _trim(self, left: int) -> None:
        lost = self._history.trim(left, self._keys.offset)
        self._losses.forgotten |= self._doubt(lost)
        if self._keys.text:  # without an offset nobody can tell that there was more
            self._run.trimmed += len(lost)

    def _note(self, noted: Noted) -> None:
        """I9: a break is noted only where there is one, with what it has cost."""
        if noted.kind == "trimmed":
            lost, exact = noted.facts["lost"], noted.facts["exact"]
            true = self._history.lost_after(EntryId.parse(noted.facts["offset"]) or START)
            if lost < true or (exact and lost != true):
                self._violated("I9", f"{true} entries were lost, and this was noted: {noted.facts}")
            self._run.noted = max(self._run.noted, true)
        elif noted.kind != "rolled_back" or not self._may_have_gone_back:
            self._violated("I9", f"nothing is broken, and this was noted: {noted}")
        else:
            self._lost_commit = None

    def _copy(self) -> Copy:
        entries, covered, losses = len(self._history.ids), self._reports.sizes(), self._losses.so_far()
        return Copy(self._keys.copy(), self._commits, entries, self._sent, covered, losses)

    def _go_back(self, copy: Copy) -> None:
        self._may_have_gone_back = True
        if self._commits >= copy.commits + 2:  # the answer to the last one may have been lost
            self._lost_commit = self._keys.last
        self._keys = copy.keys.copy()
        self._keys.lose_connection()
        self._losses.forgotten |= self._doubt(self._history.cut(copy.entries))
        self._sent = copy.sent
        self._reports.go_back(copy.covered)
        self._losses.go_back(copy.losses)

    def _commit(self, step: Step, record: CommitRecord) -> None:
        before, offset = self._keys.offset, step.offset or START
        entries = self._history.entries(before, offset)
        if not entries or entries[-1].entry_id != offset:
            self._violated("I6", f"a commit moved the offset from {before} to {offset}: {record}")
            return
        refused = self._refusals.refused(step, entries)
        self._run.found += self._refusals.judge_letters(step, entries, refused)
        events = [entry.event for entry in entries if entry.event is not None]
        games = defaultdict(list)
        for event in events:
            games[event.game_id].append(event)
        sent = {one.at: one for one in step.sent}
        if [one.at for one in step.sent] != [event.at for event in events if event.at in sent]:
            self._violated("I5", f"{record} sent what is not of its batch ({before}, {offset}]: {step.sent}")
        self._judge_games(step, record, entries, games, sent, refused)

    def _judge_games(
        self,
        step: Step,
        record: CommitRecord,
        entries: Sequence[Entry],
        games: Mapping[str, Sequence[Event]],
        sent: Mapping[int, Sent],
        refused: Collection[str],
    ) -> None:
        versions: dict[str, Version] = {}
        steps: dict[int, tuple[str, Folded]] = {}
        for game_id, events in games.items():
            if game_id not in self._model or game_id in refused:
                if any(event.at in sent for event in events):
                    self._violated("D5", f"a snapshot of {game_id}, which has no row, or one that was refused")
                if game_id in refused:
                    self._refused(record, game_id)
                continue
            version = self._written(record, game_id, events)
            if version is None:
                return
            versions[game_id] = version
            self._refusals.wrote(version)
            folded = self._judge_game(record, version, events, sent)
            before = [version.old_status, *(each.status for each in folded)]
            steps.update({each.event.at: (was, each) for was, each in zip(before, folded, strict=False)})
        self._judge_times(record, versions.values(), split=self._refusals.may_split(games.keys()))
        self._run.found += judge_events(step, entries, steps, refused)
        targets = {game_id: _target(events) for game_id, events in games.items()}
        self._run.found += judge_writes(step, versions, targets)

    def _refused(self, record: CommitRecord, game_id: str) -> None:
        """I7: nothing is written of a refused row; it stays as it was, or as a batch without a commit left it."""
        if written := self._history.written(record, game_id):
            self._violated("I7", f"{record} says that PostgreSQL refused what it wrote: {written}")
        if self._refusals.follows_uncommitted(record, game_id):
            self._run.unsure.add(game_id)

    def _written(self, record: CommitRecord, game_id: str, events: Sequence[Event]) -> Version | None:
        """I1: the row is written when the offset passes, and once."""
        found = self._history.written(record, game_id)
        if len(found) != 1:
            self._violated("I1", f"{record} passed {events}, and this was written since its last commit: {found}")
            return None
        return found[0]

    def _judge_times(self, record: CommitRecord, versions: Collection[Version], *, split: bool) -> None:
        """I3: rows are later than the last commit, and this one no later than any; than the last, were they `split`."""
        last, times = self._keys.record, [version.updated_us for version in versions]
        if last is None or not times:
            return
        until = max(times) if split else min(times)
        if not last.written_us < record.written_us <= until or min(times) <= last.written_us:
            self._violated("I3", f"{record} came after {last}, and rows have other times: {versions}")

    def _judge_game(
        self, record: CommitRecord, version: Version, events: Sequence[Event], sent: Mapping[int, Sent]
    ) -> list[Folded]:
        game_id = version.game_id
        folded = fold(events, version.old_status)
        if (version.status, version.health) != (folded[-1].status, events[-1].summary):
            self._violated("I1", f"{record} passed {events}, and what was written is {version}")
        published = [one for each in folded if (one := self._judge_sent(record, version.turn, each, sent)) is not None]
        self._reports.covered(game_id, self._history.at(record), published)
        last = fold(events, self._model[game_id].status)[-1]
        self._model[game_id] = Row(last.status, self._model[game_id].turn, last.event.summary)
        return folded

    def _judge_sent(self, record: CommitRecord, turn: int, folded: Folded, sent: Mapping[int, Sent]) -> Sent | None:
        """D4, D5: a transition and another summary are published, as the row stood, and nothing else is (I5)."""
        event, status, swapped = folded
        found, last = sent.get(event.at), self._published.get(event.game_id)
        needed = swapped or last != event.summary
        self._published[event.game_id] = event.summary
        if found is None:
            if needed:
                self._violated("I3" if swapped else "D4", f"{record} does not publish {event}; before it: {last}")
            return None
        expected = Sent(event.game_id, turn, status, event.summary, event.at)
        if found != expected:
            self._violated("D5", f"{record} sent {found}, expected {expected}")
        if not needed:
            self._violated("I5", f"{record} repeats {found}")
        return found

    def _judge_end(self, evidence: Evidence) -> None:
        ids = self._history.ids
        if ids and self._keys.offset != ids[-1]:
            self._violated("I1", f"drained, and the offset is {self._keys.offset}, not {ids[-1]}")
        if evidence.lobby != self._sent:
            self._violated("I5", f"{self._sent} snapshots were committed, and {evidence.lobby} are there")
        if self._run.trimmed and not self._run.noted:
            self._violated("I9", f"{self._run.trimmed} entries were trimmed before they were read; this was not noted")
        for game_id, row in evidence.rows.items():
            sure = quiet(game_id) and game_id not in self._run.unsure | self._losses.unsure and not evidence.fence_only
            if sure and self._model[game_id] != row:
                self._violated("I10", f"{game_id} is {row}, and by the model {self._model[game_id]}")


def _target(events: Sequence[Event]) -> str:
    """The net effect on the status (design 3.1, W): where the last transition leads."""
    return next((event.target for event in reversed(events) if event.target), "")
