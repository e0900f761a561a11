"""Standing by: while another worker has the lock, what it leaves on Redis is watched, and it may go back in time."""

from __future__ import annotations

from dataclasses import replace

from gmhealth.commits import Commits
from gmhealth.failover import Failover
from gmhealth.notices import Observer
from gmhealth.ports import Ledger, Saved


class Lookout:
    """Watches Redis beside another one's turn, so that taking over from it is safe (design 3.4)."""

    def __init__(self, ledger: Ledger, failover: Failover, commits: Commits, observe: Observer) -> None:
        self._ledger, self._failover, self._commits, self._observe = ledger, failover, commits, observe
        self._tellings: set[str] = set()  # the marks of commits that told again, whose answers may have been lost

    def look(self, saved: Saved) -> None:
        """Look at the last commit; what Redis lost of ours is told again. Raises `Unavailable`: call again."""
        self.settle(saved)
        self.notice(saved)
        self._failover.watch(saved, saved.entry_id)
        if self._failover.lost:
            self._tell_again(saved)

    def settle(self, saved: Saved) -> None:
        """Take note if telling it again was applied after all, though the answer was lost (I5)."""
        if saved.mark in self._tellings:
            self._told_again(saved)

    def notice(self, saved: Saved) -> None:
        """Say so if Redis went back in time."""
        if (rollback := self._failover.rollback(saved)) is not None:
            self._observe(rollback)

    def _tell_again(self, saved: Saved) -> None:
        """Tell what we had told before Redis lost it, though another one's turn keeps us from writing (I3).

        No snapshot comes after a newer one for it: whoever commits since the rows were loaded leaves another mark.
        """
        snapshots = self._commits.as_they_are(self._failover.lost)
        commit = self._commits.make(saved, None, snapshots, beside=True)
        self._tellings.add(commit.mark)
        if not isinstance(self._ledger.commit(commit), Saved):
            self._told_again(replace(saved, mark=commit.mark))

    def _told_again(self, saved: Saved) -> None:
        """It may be lost once more: it is kept in view as what was told for the first time."""
        self._failover.applied(saved, self._failover.take_lost())
        self._tellings.clear()
