"""Standing by: while another worker has the lock, what it leaves on Redis is watched, and it may go back in time."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from gmhealth.core.mark import includes
from gmhealth.worker.commits import Commits
from gmhealth.worker.events import Observer
from gmhealth.worker.failover import Failover
from gmhealth.worker.ports import Ledger, Saved

TELLINGS: Final = 8
"""So many of the last ones may still be on their way."""


class Lookout:
    """Watches Redis beside another one's turn, so that taking over from it is safe (design 3.4)."""

    def __init__(self, ledger: Ledger, failover: Failover, commits: Commits, observe: Observer) -> None:
        self._ledger, self._failover, self._commits, self._observe = ledger, failover, commits, observe
        self._tellings: dict[str, dict[str, int]] = {}  # what was told again with which mark, its answer perhaps lost

    def look(self, saved: Saved) -> None:
        """Look at the last commit; what it lacks and we know of is told. Raises `Unavailable`: call again."""
        if (rollback := self._failover.rollback(saved)) is not None:
            self._observe(rollback)
        self._failover.watch(saved, saved.entry_id)
        if self._failover.lost:
            self._tell_again(saved)

    def settle(self, saved: Saved) -> None:
        """Take note if telling it again was applied after all, though the answer was lost (I5)."""
        mark = next((mark for mark in self._tellings if includes(saved.mark, mark)), None)
        if mark is not None:
            self._failover.told_again(replace(saved, mark=mark), self._tellings[mark])
            self._tellings.clear()

    def _tell_again(self, saved: Saved) -> None:
        """Tell what perhaps only we know of, as Redis has lost it, though it is another one's turn to write (I3).

        No snapshot comes after a newer one for it: whoever commits since the rows were loaded leaves another mark.
        """
        lost = self._failover.lost
        commit = self._commits.make(saved, None, self._commits.as_they_are(lost), beside=True)
        self._tellings[commit.mark] = dict(lost)
        if len(self._tellings) > TELLINGS:
            del self._tellings[next(iter(self._tellings))]
        if not isinstance(self._ledger.commit(commit), Saved):
            self.settle(replace(saved, mark=commit.mark))
