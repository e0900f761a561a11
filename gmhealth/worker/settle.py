"""What to do after a start or a fault: a decision over what was found, and nothing else (design 3.4).

Nothing of the batch in flight is remembered. What is stored tells what a fault may have left: rows written and not
published (newer than the commit record), rows that PostgreSQL has lost (older than the journal), an offset that was
moved or is gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from gmhealth.core.commit_record import CommitRecord, Server
from gmhealth.core.continuity import RolledBack
from gmhealth.core.entry import START, EntryId
from gmhealth.worker.ports import Saved


class Unfit(Enum):
    """Why this PostgreSQL is not to be written to."""

    OTHER_CLUSTER = "other cluster"
    OLD_PRIMARY = "old primary"


@dataclass(frozen=True, slots=True)
class Course:
    """How to settle.

    `prepare`: commit a record first that is not verified, before any row is written. `verify`: search for rows that
    lost a write. `restore`: the offset's key is gone, set it. `moved_from`: the offset that was left, where somebody
    has moved it since. `entries_read`: so many-th is the entry at the offset, None where it is not known.
    """

    offset: EntryId
    entries_read: int | None
    prepare: bool
    verify: bool
    restore: bool
    moved_from: EntryId | None


def decide(saved: Saved, server: Server) -> Course | Unfit:
    """Decide how to settle on `server` by what is `saved`."""
    record = saved.record
    if record is None:
        return Course(saved.entry_id, None, prepare=True, verify=True, restore=False, moved_from=None)
    if server.is_other_cluster_than(record.server):
        return Unfit.OTHER_CLUSTER
    if server.is_older_than(record.server):
        return Unfit.OLD_PRIMARY
    verify = not record.verified or server.may_lack_writes_to(record.server)
    restore = saved.text is None and record.entry_id is not None
    left = record.entry_id or START
    moved = saved.text is not None and saved.entry_id != left
    return Course(
        offset=saved.entry_id if moved else left,
        entries_read=None if moved else record.entries_read,
        prepare=verify,
        verify=verify,
        restore=restore,
        moved_from=left if moved else None,
    )


def went_back(seen: CommitRecord | None, found: CommitRecord | None) -> RolledBack | None:
    """Tell whether Redis has lost the commit that was `seen`, by the record `found` now: it only ever counts up."""
    if seen is None or (found is not None and found.n >= seen.n):
        return None
    return RolledBack(seen.entry_id or START, None if found is None else found.entry_id)
