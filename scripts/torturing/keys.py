"""The two keys that a commit is fenced by, as the effects so far have left them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from gmhealth.core.entry import START, EntryId
from scripts.torturing.contract import CommitRecord
from scripts.torturing.effects import OFFSET, Step
from scripts.torturing.reports import Violation


@dataclass(slots=True)
class Keys:
    """Offset and commit record, and who committed last.

    `offset_deleted`: it is where it was, by the commit record. `interrupted`: since the last commit somebody else has
    changed a key, or all connections are lost; whoever goes on has to settle first.
    """

    offset: EntryId = START
    text: str = ""
    record: CommitRecord | None = None
    last: CommitRecord | None = None
    offset_deleted: bool = False
    interrupted: bool = False

    def copy(self) -> Keys:
        """Give the same once more."""
        return replace(self)

    def reset(self, offset: EntryId) -> None:
        """An operator has moved the offset."""
        self.offset, self.text, self.offset_deleted, self.interrupted = offset, str(offset), False, True

    def delete(self, key: bytes) -> None:
        """Somebody has deleted a key."""
        self.interrupted = True
        if key == OFFSET:
            self.offset_deleted = True
            if self.record is not None:  # a reset that nobody has followed yet is gone with the key
                self.offset = EntryId.parse(self.record.offset) or START
        else:
            self.record = None

    def lose_connection(self) -> None:
        """Whoever had read the keys has to read them again."""
        self.last, self.interrupted = None, True

    def is_moved_by(self, step: Step) -> bool:
        """Whether a commit is one of a batch, and not one that only restores the offset or leaves it."""
        settling = self.offset_deleted or (self.last is not None and not self.last.verified)
        return step.offset is not None and not (settling and step.offset == self.offset)

    def committed(self, step: Step, record: CommitRecord, count: Callable[[EntryId], int]) -> Iterator[Violation]:
        """Take a commit in, and judge its record: what it says has to be so, and may not go back."""
        if self.offset_deleted and step.offset is None:
            yield Violation("I6", f"the offset was deleted, and is not restored by {record}")
        if step.offset is not None:
            self.offset, self.text, self.offset_deleted = step.offset, str(step.offset), False
        before = self.record
        if before is not None and (record.n <= before.n or record.written_us < before.written_us):
            yield Violation("I5", f"{record} came after {before}")
        if record.offset != self.text:
            yield Violation("I6", f"the offset is {self.text}, by {record}")
        if record.entries_read not in (None, count(self.offset)):
            yield Violation("I9", f"the offset is the {count(self.offset)}-th entry, by {record}")
        self.record = self.last = record
        self.interrupted = False
