"""What is known of a lane so far: the entries, the versions of the rows, and when each commit left."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from gmhealth.core.entry import EntryId
from scripts.torturing.contract import Event, event_of
from scripts.torturing.effects import Fed, Step
from scripts.torturing.proxy import Published
from scripts.torturing.versions import Row, Version

MARK: Final = re.compile(rb"[^ ]+:\d+:[0-9a-f]+[#~]\d+")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a run left behind.

    `wire` and `disturbed` come from the proxies; `lobby` is the length of Lobby's stream; `fence_only`: two consumers
    were active.
    """

    effects: Iterable[Fed | Step]
    versions: Sequence[Version]
    wire: Iterable[Published]
    disturbed: Sequence[float]
    rows: Mapping[str, Row]
    lobby: int
    fence_only: bool = False


@dataclass(slots=True)
class Record:
    """Grows from run to run; `base` has the rows as they were before this one."""

    base: Mapping[str, Row]
    ids: list[EntryId] = field(default_factory=list)
    versions: dict[str, list[Version]] = field(default_factory=lambda: defaultdict(list))
    _entries: list[tuple[bytes, ...]] = field(default_factory=list)
    _times: dict[str, float] = field(default_factory=dict)
    _left: dict[str, float] = field(default_factory=dict)
    _disturbed: Sequence[float] = ()

    def add(self, evidence: Evidence) -> None:
        """Take in a run."""
        self._disturbed = sorted(evidence.disturbed)
        for published in evidence.wire:
            for argument in published.arguments:
                if MARK.fullmatch(argument):  # seen first in its own commit, later as the next one's fence
                    self._times.setdefault(argument.decode(), published.at)
        for version in evidence.versions:
            self.versions[version.game_id].append(version)

    def next_run(self, rows: Mapping[str, Row]) -> None:
        """Keep of this run what the next one needs."""
        self.base = dict(rows)
        for versions in self.versions.values():
            del versions[:-1]

    def feed(self, fed: Fed) -> None:
        """Append an entry."""
        self.ids.append(fed.entry_id)
        self._entries.append(fed.parts)

    def entries(self, after: EntryId, last: EntryId) -> list[tuple[EntryId, tuple[bytes, ...]]]:
        """Give the entries strictly after `after` and up to `last`."""
        start, end = bisect_right(self.ids, after), bisect_right(self.ids, last)
        return list(zip(self.ids[start:end], self._entries[start:end], strict=True))

    def events(self, after: EntryId, last: EntryId) -> list[Event]:
        """Give those that are health events."""
        found = (event_of(parts) for _, parts in self.entries(after, last))
        return [event for event in found if event is not None]

    def at(self, step: Step) -> float:
        """When a commit left for Redis."""
        return self._times.get(step.mark or "", 0.0)

    def committed(self, step: Step) -> None:
        """Note that this is its worker's last commit so far."""
        self._left[step.worker] = self.at(step)

    def disturbed(self, since: float, until: float) -> bool:
        """Say whether a connection came or went, or a server refused, in between."""
        first = bisect_right(self._disturbed, since)
        return first < len(self._disturbed) and self._disturbed[first] <= until

    def written(self, step: Step, game_id: str) -> Version:
        """Give what this commit's worker wrote last before it; what was there already if it wrote nothing."""
        since, until = self._left.get(step.worker, 0.0), self.at(step)
        pid, last = step.worker.split(":")[-2], None
        for version in reversed(self.versions[game_id]):
            if version.at < until:
                last = last or version
                if version.at <= since:
                    break
                if str(version.pid) == pid:
                    return version
        row = self.base[game_id] if last is None else last.row
        return Version(0, 0.0, game_id, "nobody", row.status, row.turn, *row)
