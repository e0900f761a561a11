"""When a fault strikes: at which message on the wire, and on which side of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from threading import Event, Lock
from typing import TYPE_CHECKING, NamedTuple

_GAME = re.compile(rb"game-\d{4}")

if TYPE_CHECKING:
    from scripts.torturing.proxy import Link


class Side(Enum):
    """Where a message is when a fault strikes."""

    BEFORE = "before the request left"
    AFTER = "answer withheld so far"
    DELIVERED = "answer delivered"


class Moment(NamedTuple):
    """A kind of message (`wire`) and where it is. Between two steps: delivered the one, not sent the next."""

    kind: str
    side: Side


class Act(Enum):
    """What is done to the message that a fault struck at."""

    PASS = "pass"
    CUT = "cut"
    HALF = "half"
    WITHHOLD = "withhold"
    STALL = "stall"
    REFUSE = "refuse"


class Verdict(NamedTuple):
    """An act, with seconds for those that take time and bytes for an answer that is made up."""

    act: Act = Act.PASS
    seconds: float = 0.0
    answer: bytes = b""


def games_in(raw: bytes) -> list[str]:
    """Give the games that a message names, in order."""
    return sorted({name.decode() for name in _GAME.findall(raw)})


PASS = Verdict()
CUT = Verdict(Act.CUT)


@dataclass(slots=True)
class Trigger:
    """Strikes once, at the `nth` message from now that is at `moment`."""

    moment: Moment
    nth: int
    strike: Callable[[Link, bytes], Verdict]
    games: int = 0  # so many must be named in the message
    done: Event = field(default_factory=Event)
    struck_at: Moment | None = None
    error: BaseException | None = None
    _relaxed: frozenset[str] = frozenset()
    _lock: Lock = field(default_factory=Lock)

    def relax(self, kinds: frozenset[str]) -> None:
        """Strike at whatever of `kinds` comes next: what was waited for does not come."""
        self._relaxed = kinds

    def reached(self, moment: Moment, raw: bytes) -> bool:
        """Say whether to strike now; once only."""
        with self._lock:
            if self.struck_at is not None or not self._fits(moment) or len(games_in(raw)) < self.games:
                return False
            self.nth -= 1
            if self.nth > 0 and not self._relaxed:
                return False
            self.struck_at = moment
            return True

    def _fits(self, moment: Moment) -> bool:
        return moment == self.moment or (moment.side is self.moment.side and moment.kind in self._relaxed)

    def pull(self, link: Link, raw: bytes) -> Verdict:
        """Strike; whoever waits for `done` learns of an error."""
        try:
            return self.strike(link, raw)
        except BaseException as error:  # noqa: BLE001  # raised again by whoever armed it
            self.error = error
            return PASS
        finally:
            self.done.set()
