"""Whether other writers were left in peace (I4), and every transition of ours was published afterwards (I3)."""

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
    """A step that was about a game: when it left, and what it published."""

    at: float
    sent: Sequence[Sent]


class Reports:
    """The steps of a run, by game."""

    def __init__(self) -> None:
        self._covered: dict[str, list[Covered]] = defaultdict(list)

    def covered(self, game_id: str, at: float, sent: Sequence[Sent]) -> None:
        """Note a step that was about a game."""
        self._covered[game_id].append(Covered(at, sent))

    def sizes(self) -> dict[str, int]:
        """Give what `go_back` needs to forget what comes from now on."""
        return {game_id: len(steps) for game_id, steps in self._covered.items()}

    def go_back(self, sizes: Mapping[str, int]) -> None:
        """Forget the steps since then: their snapshots are lost, and others have to take their place."""
        for game_id, steps in self._covered.items():
            del steps[sizes.get(game_id, 0) :]

    def judge(
        self, versions: Sequence[Version], known: Mapping[str, Sequence[Version]], *, fence_only: bool
    ) -> Iterator[Violation]:
        """Judge a run's versions: the first step about a game shows what came before it, or what came later.

        Not with two leaders at once, `fence_only`: one may publish a later state before the other has published this
        one, which design 3.4 does not cover.
        """
        for version in versions:
            if version.pid is None:
                continue
            if version.turn != version.old_turn or (version.moved and version.swap not in SWAPS):
                yield Violation("I4", f"another writer was overruled: {version}")
            later = [step for step in self._covered[version.game_id] if step.at > version.at]
            shown = {(one.status, one.turn) for one in known[version.game_id] if one.n >= version.n}
            if version.moved and not fence_only and not _published(later[:1], shown):
                yield Violation("I3", f"a transition was not published: {version}; what came after it: {later}")
        self._covered.clear()


def _published(steps: Sequence[Covered], shown: set[tuple[str, int]]) -> bool:
    return any((one.status, one.turn) in shown for step in steps for one in step.sent)
