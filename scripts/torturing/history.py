"""What is known of a lane so far: the entries, the versions of the rows, and when each commit left."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from gmhealth.core.entry import EntryId
from scripts.torturing.contract import CommitRecord, Event, commit_record_of, event_of
from scripts.torturing.effects import Effect, Fed
from scripts.torturing.proxy import Published
from scripts.torturing.versions import LOSS, Row, Version


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a run left behind.

    `wire` and `disturbed` come from the proxies; `lobby` is the length of Lobby's stream; `fence_only`: two consumers
    were active.
    """

    effects: Iterable[Effect]
    versions: Sequence[Version]
    wire: Iterable[Published]
    disturbed: Sequence[float]
    rows: Mapping[str, Row]
    lobby: int
    fence_only: bool = False


class Entry(NamedTuple):
    """An entry of the stream; `event` is None if it is no health event."""

    entry_id: EntryId
    parts: tuple[bytes, ...]
    event: Event | None


@dataclass(slots=True)
class History:
    """Grows from run to run; `base` has the rows as they were before this one."""

    base: Mapping[str, Row]
    ids: list[EntryId] = field(default_factory=list)
    versions: dict[str, list[Version]] = field(default_factory=lambda: defaultdict(list))
    losses: list[Version] = field(default_factory=list)
    _entries: list[Entry] = field(default_factory=list)
    _trimmed: int = 0  # so many of the entries, the oldest
    _lost: set[EntryId] = field(default_factory=set)
    _times: dict[str, float] = field(default_factory=dict)
    _left: dict[str, float] = field(default_factory=dict)
    _disturbed: Sequence[float] = ()

    def add(self, evidence: Evidence) -> None:
        """Take in a run."""
        self._disturbed = sorted(evidence.disturbed)
        for published in evidence.wire:
            for argument in published.arguments:
                record = commit_record_of(argument) if argument.startswith(b"{") else None
                if record is not None:  # seen first in its own commit, later as the next one's fence
                    self._times.setdefault(record.id, published.at)
        for version in evidence.versions:
            self.versions[version.game_id].append(version)
            if version.by == LOSS:
                self.losses.append(version)

    def next_run(self, rows: Mapping[str, Row]) -> None:
        """Keep of this run what the next one needs."""
        self.base = dict(rows)
        self.losses.clear()
        for versions in self.versions.values():
            del versions[:-1]

    def feed(self, fed: Fed) -> None:
        """Append an entry."""
        self.ids.append(fed.entry_id)
        self._entries.append(Entry(fed.entry_id, fed.parts, event_of(fed.parts)))

    def count(self, until: EntryId) -> int:
        """Count the entries that were ever added, up to `until`."""
        return bisect_right(self.ids, until)

    def entries(self, after: EntryId, last: EntryId) -> list[Entry]:
        """Give the entries strictly after `after` and up to `last` that could be read."""
        found = self._entries[self.count(after) : self.count(last)]
        return [entry for entry in found if entry.entry_id not in self._lost]

    def trim(self, left: int, offset: EntryId) -> list[Entry]:
        """Remove all but the newest `left` entries; gives those that nobody can read now who goes on after `offset`."""
        until = max(self._trimmed, len(self._entries) - left)
        found = [entry for entry in self._entries[self._trimmed : until] if entry.entry_id > offset]
        self._trimmed = until
        self._lost.update(entry.entry_id for entry in found)
        return found

    def lost_after(self, offset: EntryId) -> int:
        """Count the entries after `offset` that were trimmed before they were read."""
        return sum(entry_id > offset for entry_id in self._lost)

    def cut(self, count: int) -> list[Entry]:
        """Remove all entries but the first `count`; gives the others."""
        gone = self._entries[count:]
        del self._entries[count:], self.ids[count:]
        return gone

    def at(self, record: CommitRecord) -> float:
        """When a commit left for Redis."""
        return self._times.get(record.id, 0.0)

    def committed(self, record: CommitRecord) -> None:
        """Note that this is its worker's last commit so far."""
        self._left[record.worker] = self.at(record)

    def disturbed(self, since: float, until: float) -> bool:
        """Say whether a connection came or went, or a server refused, in between."""
        first = bisect_right(self._disturbed, since)
        return first < len(self._disturbed) and self._disturbed[first] <= until

    def written(self, record: CommitRecord, game_id: str) -> list[Version]:
        """Give what this commit's worker wrote of a game since its last commit."""
        since, until = self._left.get(record.worker, 0.0), self.at(record)
        return [one for one in self.versions[game_id] if since < one.at < until and one.pid == record.pid]

    def before(self, record: CommitRecord, game_id: str) -> list[Version]:
        """Give the versions of a game that were there when a commit left."""
        until = self.at(record)
        return [version for version in self.versions[game_id] if version.at < until]
