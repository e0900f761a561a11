"""Standing by: while another worker has the lock, what it leaves on Redis is watched, and it may go back in time."""

from __future__ import annotations

from gmhealth.commits import Commits
from gmhealth.failover import Failover
from gmhealth.notices import Observer
from gmhealth.ports import Ledger, Saved


class Lookout:
    """Watches Redis beside another one's turn, so that taking over from it is safe (design 3.4)."""

    def __init__(self, ledger: Ledger, failover: Failover, commits: Commits, observe: Observer) -> None:
        self._ledger, self._failover, self._commits, self._observe = ledger, failover, commits, observe
        self._told_again = ""  # the mark of the last commit that did, whose answer may have been lost

    def look(self) -> Saved:
        """Look at the last commit; what Redis lost of ours is told again. Raises `Unavailable`: call again."""
        saved = self._ledger.saved()
        self.settle(saved)
        self.notice(saved)
        if self._failover.lost:
            self._tell_again(saved)
        self._failover.watch(saved, saved.entry_id)
        return saved

    def settle(self, saved: Saved) -> None:
        """Take note if telling it again was applied after all, though the answer was lost (I5)."""
        if saved.mark == self._told_again:
            self._failover.take_lost()

    def notice(self, saved: Saved) -> None:
        """Say so if Redis went back in time."""
        if (rollback := self._failover.rollback(saved)) is not None:
            self._observe(rollback)

    def _tell_again(self, saved: Saved) -> None:
        """Tell what we had told before Redis lost it, though another one's turn keeps us from writing (I3).

        No snapshot comes after a newer one for it: whoever commits since the rows were loaded leaves another mark.
        """
        commit = self._commits.make(saved, None, self._commits.as_they_are(self._failover.lost))
        self._told_again = commit.mark
        if not isinstance(self._ledger.commit(commit), Saved):
            self._failover.take_lost()
