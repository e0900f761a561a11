"""Rounds: A B C A B C …, each from the same state, each checked."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from scripts.benchmark.roster import Contestant, run
from scripts.benchmark.site import Site
from scripts.benchmark.task import Result
from scripts.benchmark.verify import verify


@dataclass(frozen=True, slots=True)
class Entrant:
    """A contestant on a site."""

    contestant: Contestant
    site: Site
    batch_size: int | None = None

    @property
    def entries(self) -> int:
        """How many entries it drains a round."""
        return min(self.contestant.cap or self.site.workload.entries, self.site.workload.entries)

    def play(self) -> Result:
        """Drain once, from the beginning; raises `Failed` or `Differs`."""
        self.site.reset()
        task = self.site.task(self.entries, self.batch_size)
        result = run(self.contestant, task)
        if self.contestant.writes:
            verify(self.site, task, offset=self.contestant.keeps_offset)
        return result


def drain(entrants: Sequence[Entrant], rounds: int) -> list[list[float]]:
    """Play `rounds` rounds; gives each entrant's rates, in entries a second."""
    rates: list[list[float]] = [[] for _ in entrants]
    for at in range(rounds):
        for entrant, found in zip(entrants, rates, strict=True):
            say(f"round {at + 1} of {rounds}: {entrant.contestant.title}, {entrant.site.workload}")
            found.append(entrant.entries / entrant.play().seconds)
    say("")
    return rates


def say(text: str) -> None:
    """Show what is going on, on a terminal only."""
    if sys.stderr.isatty():
        print(f"\r\x1b[2K{text}", end="", file=sys.stderr, flush=True)
