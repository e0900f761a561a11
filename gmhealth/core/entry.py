"""Stream entries and their IDs, as Redis defines them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

_ID: Final = re.compile(r"([0-9]{1,20})(?:-([0-9]{1,20}))?")
_U64: Final = 2**64 - 1

Entry: TypeAlias = tuple[bytes, Sequence[bytes]]
"""One stream entry as it came: its ID, then names and values in turn (a name may come twice)."""


class EntryId(NamedTuple):
    """A place in a stream: milliseconds and a sequence number, two unsigned 64-bit integers.

    Compares as Redis compares (Redis manual, "Entry IDs"), which their text does not.
    """

    ms: int
    seq: int

    def __str__(self) -> str:
        return f"{self.ms}-{self.seq}"

    @classmethod
    def parse(cls, text: str | bytes) -> EntryId | None:
        """Read `123-4`, or `123` for `123-0`; None when it is no entry ID."""
        match = _ID.fullmatch(text.decode("latin-1") if isinstance(text, bytes) else text)
        if match is None:
            return None
        found = cls(int(match[1]), int(match[2] or 0))
        return found if max(found) <= _U64 else None

    def before(self) -> EntryId:
        """The ID just before this one: turns an inclusive start into an exclusive one."""
        if self.seq:
            return EntryId(self.ms, self.seq - 1)
        return EntryId(self.ms - 1, _U64) if self.ms else self

    def after(self) -> EntryId:
        """The ID just after this one."""
        return EntryId(self.ms, self.seq + 1) if self.seq < _U64 else EntryId(self.ms + 1, 0)


START: Final = EntryId(0, 0)
"""Before every entry: Redis refuses an entry with this ID."""
LAST: Final = EntryId(_U64, _U64)
"""The last one that there can be."""
