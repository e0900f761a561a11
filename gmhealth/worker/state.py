"""Where a worker stands: settled, on its way there, or paused."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from gmhealth.core.commit_record import CommitRecord
from gmhealth.core.continuity import Place
from gmhealth.core.pause import Pause
from gmhealth.worker.ports import Saved


class Stage(Enum):
    """Where a worker stands that is not settled: it may not write.

    TAKING_OVER: it has, or lately had, the leader lock. AGAIN: it was settled, and a fault ended that.
    """

    STARTING = "starting"
    STANDBY = "standby"
    TAKING_OVER = "taking over"
    AGAIN = "again"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a leader stands: what its last commit saved, and the place to read on from.

    `renewed`: when that commit's `written_at` was set, by the monotonic clock.
    """

    saved: Saved
    place: Place
    renewed: float

    @property
    def record(self) -> CommitRecord:
        """The record of the last commit."""
        assert self.saved.record is not None  # noqa: S101  # a commit leaves one
        return self.saved.record


State: TypeAlias = Standing | Stage | Pause


def is_leader(state: State) -> bool:
    """Whether a worker has, or lately had, the leader lock."""
    return isinstance(state, Standing) or state in (Stage.TAKING_OVER, Stage.AGAIN)
