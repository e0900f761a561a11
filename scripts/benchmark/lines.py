"""What was measured: lines of the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True, slots=True)
class Goal:
    """What a ratio should be: at least, or at most, `bound`."""

    sign: str
    bound: float

    def met(self, ratio: float) -> bool:
        """Whether `ratio` is that good."""
        return ratio >= self.bound if self.sign == "≥" else ratio <= self.bound

    def __str__(self) -> str:
        return f"{self.sign} {self.bound:g}"


def at_least(bound: float) -> Goal:
    """Want a ratio of `bound` or more."""
    return Goal("≥", bound)


def at_most(bound: float) -> Goal:
    """Want a ratio of `bound` or less."""
    return Goal("≤", bound)


@dataclass(frozen=True, slots=True)
class Line:
    """One contestant in one section: a value per round, and what gmhealth's value is of this one's, as a ratio."""

    section: str
    contestant: str
    unit: str
    values: tuple[float, ...]
    ratio: float | None = None
    goal: Goal | None = None
    note: str = ""

    @property
    def median(self) -> float:
        """The middle of the rounds."""
        return median(self.values)

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None where there is none."""
        return None if self.goal is None or self.ratio is None else self.goal.met(self.ratio)

    def as_json(self) -> dict[str, Any]:
        """Give everything, the single rounds included."""
        return {
            "section": self.section,
            "contestant": self.contestant,
            "unit": self.unit,
            "rounds": self.values,
            "median": self.median,
            "ratio": self.ratio,
            "goal": None if self.goal is None else str(self.goal),
            "met": self.met,
            "note": self.note,
        }


@dataclass(frozen=True, slots=True)
class Skipped:
    """What could not be measured, and why."""

    section: str
    contestant: str
    reason: str

    def as_json(self) -> dict[str, Any]:
        """Give it beside the lines that were measured."""
        return asdict(self)


def quotient(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Give the ratio of the medians."""
    return median(ours) / median(theirs)
