"""How much of everything: the whole of issue 4, or what fits into a minute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Scale:
    """Sizes and counts of one run. `whole`: slow contestants drain the whole backlog, too."""

    entries: int = 200_000
    slow_entries: int = 20_000
    distant_entries: int = 1_000
    games: int = 1_000
    many_games: int = 100_000
    many_rows: int = 1_000_000
    few_entries: int = 20_000
    many_entries: int = 2_000_000
    rounds: int = 5
    probes: int = 1_000
    starts: int = 15
    idle_s: float = 60.0
    whole: bool = False


FULL: Final = Scale()
QUICK: Final = Scale(entries=50_000, slow_entries=2_000, rounds=3, probes=200, starts=5, idle_s=5.0)
