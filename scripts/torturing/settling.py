"""Whether a commit without a batch is as it should be: what may be unpublished is, and nothing else (design 3.4)."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from scripts.torturing.contract import CommitRecord
from scripts.torturing.effects import Sent, Step
from scripts.torturing.history import History
from scripts.torturing.journal import judge_repairs, judge_writes
from scripts.torturing.keys import Keys
from scripts.torturing.losses import Again, Losses
from scripts.torturing.reports import Reports, Violation
from scripts.torturing.versions import Row, Version

RENEWED_AFTER_S: Final = 55.0
"""A record is renewed when it is a minute old; the commit that made it left a little earlier."""


class Settling:
    """Judges what a leader commits before, and between, its batches."""

    def __init__(self, history: History, reports: Reports, losses: Losses) -> None:
        self._history, self._reports, self._losses = history, reports, losses
        self._published: set[str] = set()  # by the commits so far of one settling

    def is_renewal(self, keys: Keys, step: Step, record: CommitRecord) -> bool:
        """Whether a leader only renews its record: its time is old, or it knows how many entries were read by now."""
        if keys.last is None or keys.last.worker != record.worker or keys.interrupted or step.sent:
            return False
        if keys.record is not None and record.entries_read not in (None, keys.record.entries_read):
            return True  # settling takes that number over from the record as it is
        if self._has_cause(keys, record):
            return False
        return self._history.at(record) - self._history.at(keys.last) > RENEWED_AFTER_S

    def judge(
        self, keys: Keys, step: Step, record: CommitRecord, refused: Collection[str], *, fence_only: bool
    ) -> Iterator[Violation]:
        """Judge a commit; `fence_only`: another leader may be at work at the same time.

        `refused` are the games whose rows PostgreSQL may have refused, which are then not written again.
        """
        if not (self._has_cause(keys, record) or self.is_renewal(keys, step, record)):
            yield Violation("I5", f"{record} settles, and there was no fault since {keys.last}")
        if step.dead:
            yield Violation("I7", f"dead letters of no batch: {step}")
        lost = self._lost(keys, record)
        repeated = self._repeated(keys, record)
        for game_id, again in repeated.items():
            if game_id not in lost | self._losses.forgotten:
                yield Violation("I10", f"{record} was preceded by a write that nothing calls for: {again}")
        versions: dict[str, Version] = {}
        for one in step.sent:
            version = self._shown(one, record)
            if version is None:
                yield Violation("D5", f"{record} sent what was no row: {one}")
            else:
                versions[one.game_id] = version
                yield from self._judge_sent(keys, record, version, lost, fence_only=fence_only)
            self._reports.covered(one.game_id, self._history.at(record), [one])
        if keys.last is None or keys.last.verified or keys.last.worker != record.worker or keys.interrupted:
            self._published.clear()
        self._published |= {one.game_id for one in step.sent}
        if record.verified and not fence_only:
            yield from self._judge_missing(keys, record)
        if record.verified:
            yield from self._losses.judge(keys, record, refused)
        yield from judge_repairs(step)
        yield from judge_writes(step, versions, None, unknown=repeated.keys() | (lost & set(refused)))

    def _has_cause(self, keys: Keys, record: CommitRecord) -> bool:
        """I5: only after a fault, a take-over or somebody's intervention."""
        last = keys.last
        if last is None or last.worker != record.worker or not last.verified or keys.interrupted:
            return True
        return self._history.disturbed(self._history.at(last), self._history.at(record))

    def _lost(self, keys: Keys, record: CommitRecord) -> set[str]:
        """Give the games whose rows may be written again, as PostgreSQL has lost what was written before."""
        losses = self._losses.before(record)
        return {loss.game_id for loss in losses if self._losses.again(keys, record, loss) is not Again.NOT}

    def _repeated(self, keys: Keys, record: CommitRecord) -> dict[str, Version]:
        """I10: give what was written without a batch."""
        last = keys.last
        if last is None or last.worker != record.worker or last.verified:
            return {}
        return {
            game_id: written[-1]
            for game_id in list(self._history.versions)
            if (written := self._history.written(record, game_id))
        }

    def _shown(self, one: Sent, record: CommitRecord) -> Version | None:
        """The newest version of the row that a snapshot shows."""
        row = Row(one.status, one.turn, one.summary)
        for version in reversed(self._history.before(record, one.game_id)):
            if version.row == row and version.updated_us // 1000 == one.at:
                return version
        return None

    def _judge_sent(
        self, keys: Keys, record: CommitRecord, version: Version, lost: Collection[str], *, fence_only: bool
    ) -> Iterator[Violation]:
        """I5: the newest state, as far as it is ours, and only one that may not have been published yet, or is lost."""
        for later in self._history.before(record, version.game_id):
            if later.n > version.n and (later.pid == record.pid if fence_only else later.pid is not None):
                yield Violation("I5", f"{record} publishes {version}, and there was {later}")
        if version.game_id in lost:
            return
        if keys.record is None or version.updated_us <= keys.record.written_us:
            yield Violation("I5", f"{record} publishes {version}, which the commit before it had covered")

    def _judge_missing(self, keys: Keys, record: CommitRecord) -> Iterator[Violation]:
        """I3: whatever we wrote after the last commit is published, unless a loss has left no summary in the row."""
        if keys.record is None:
            return
        since = keys.record.written_us
        for game_id in list(self._history.versions):
            versions = self._history.before(record, game_id)
            ours = max((version.n for version in versions if version.pid is not None), default=None)
            if ours is None or game_id in self._published:
                continue
            newest = [version for version in versions if version.n >= ours]
            if newest[-1].health and all(version.updated_us > since for version in newest):
                yield Violation("I3", f"{record} does not publish {newest[0]}, written after {keys.record}")
