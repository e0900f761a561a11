"""Making the commits of a worker: each with a mark of its own, the tail as it stands, and rows as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gmhealth.core.entry import EntryId
from gmhealth.core.events import InvalidEntry
from gmhealth.core.mark import mark_of, says_read
from gmhealth.core.snapshot import Snapshot
from gmhealth.worker.failover import Failover
from gmhealth.worker.job import Job
from gmhealth.worker.ports import Commit, Rows, Saved


class Commits:
    """Makes commits for the worker called `name`; sending them is not its business."""

    def __init__(self, rows: Rows, failover: Failover, job: Job, name: str) -> None:
        self._rows, self._failover, self._job, self._name = rows, failover, job, name
        self._made = 0

    def make(
        self,
        fence: Saved | None,
        offset: EntryId | None,
        snapshots: Sequence[Snapshot],
        dead_letters: Sequence[InvalidEntry] = (),
        *,
        read: bool = False,
        beside: bool = False,
    ) -> Commit:
        """Make one that applies after `fence` only (None: nothing was ever saved). `read`: `offset` is an entry's."""
        self._made += 1
        beside = beside or not self._job.moves_offset
        if beside:
            read = says_read(fence.mark if fence else None)  # of the other's offset, which stays
        return Commit(
            fence=fence or Saved(None, None),
            offset=offset,
            mark=mark_of(self._name, self._made, read=read, after=fence.mark if fence else None),
            snapshots=snapshots,
            dead_letters=dead_letters,
            tail=self._failover.tail,
            beside=beside,
        )

    def as_they_are(self, games: Mapping[str, int]) -> list[Snapshot]:
        """Load the rows of `games`, each with the time (ms) of what is to be told, and show them as they are now."""
        rows = self._rows.load(games) if games and self._job.publish else {}
        return [
            Snapshot(game_id, row.current_turn, row.status, row.engine_health, games[game_id])
            for game_id, row in rows.items()
            if row.engine_health  # else nobody has written it yet, and there is nothing to tell
        ]
