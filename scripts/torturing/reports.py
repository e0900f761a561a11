"""Whether other writers were left in peace (I4), and every transition of ours was told afterwards (I3)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from scripts.torturing.contract import SWAPS
from scripts.torturing.effects import Sent
from scripts.torturing.versions import Version


class Violation(NamedTuple):
    """A promise that was not kept."""

    rule: str
    text: str


class Covered(NamedTuple):
    """A step that was about a game: when it left, and what it said."""

    at: float
    sent: Sequence[Sent]


class Reports:
    """The steps of a run, by game."""

    def __init__(self) -> None:
        self._covered: dict[str, list[Covered]] = defaultdict(list)

    def covered(self, game_id: str, at: float, sent: Sequence[Sent]) -> None:
        """Note a step that was about a game."""
        self._covered[game_id].append(Covered(at, sent))

    def judge(
        self, versions: Sequence[Version], known: Mapping[str, Sequence[Version]], *, first_only: bool
    ) -> Iterator[Violation]:
        """Judge a run's versions; `first_only`: the first step about a game has to tell of what came before it."""
        for version in versions:
            if version.pid is None:
                continue
            if version.turn != version.old_turn or (version.moved and version.swap not in SWAPS):
                yield Violation("I4", f"another writer was overruled: {version}")
            later = [step for step in self._covered[version.game_id] if step.at > version.at]
            shown = {(one.status, one.turn) for one in known[version.game_id] if one.n >= version.n}
            if version.moved and not _told(later[:1] if first_only else later, shown):
                yield Violation("I3", f"a transition was not told: {version}; what came after it: {later}")
        self._covered.clear()


def _told(steps: Sequence[Covered], shown: set[tuple[str, int]]) -> bool:
    return any((one.status, one.turn) in shown for step in steps for one in step.sent)
