"""What to do between steps: how long to wait, and showing on one server what the worker waits for on the other."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from gmhealth.core.outage import Outage
from gmhealth.errors import GmhealthError, Unavailable
from gmhealth.worker.events import Observer, Recovered, Waiting
from gmhealth.worker.ports import Ledger, Rows


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits that double from `first_s` to `cap_s` seconds, each shortened by up to half so that crowds disperse."""

    first_s: float = 0.1
    cap_s: float = 5.0

    def delay(self, failures: int, roll: float) -> float:
        """Seconds to wait after `failures` failures in a row (from 1); `roll` is a random number from 0 to 1."""
        full = min(self.cap_s, self.first_s * 2.0 ** min(failures - 1, 30))
        return full * (1 - roll / 2)


class Outages:
    """Counts failed steps and tells `ledger` what is wrong with PostgreSQL, `rows` what is wrong with Redis.

    `status` can ask servers, and not the worker. A failure to tell is no matter.
    """

    def __init__(
        self,
        ledger: Ledger,
        rows: Rows,
        observe: Observer,
        backoff: Backoff,
        *,
        clock_ms: Callable[[], int],
        roll: Callable[[], float],
    ) -> None:
        self._other: dict[str, Ledger | Rows] = {"Redis": rows, "PostgreSQL": ledger}
        self._observe, self._backoff = observe, backoff
        self._clock_ms, self._roll = clock_ms, roll
        self._failures = 0
        self._since_s = 0
        self._told: dict[str, Ledger | Rows] = {}

    def met(self, error: Unavailable, most: int | None) -> float:
        """A step has failed: the seconds to wait before the next one. The `most`-th failure in a row is raised."""
        self._failures += 1
        if self._failures == most:
            raise error
        delay = self._backoff.delay(self._failures, self._roll())
        self._observe(Waiting(str(error), delay, self._failures))
        if self._failures == 1:
            self._since_s = self._clock_ms() // 1000
        if error.server:
            other = self._told[error.server] = self._other[error.server]
            with suppress(GmhealthError):
                other.show_outage(Outage(error.server, error.cause, self._since_s, self._failures, str(error)))
        return delay

    def over(self) -> None:
        """A step has gone well."""
        if not self._failures:
            return
        self._observe(Recovered(self._failures))
        self._failures, told, self._told = 0, self._told, {}
        for each in told.values():
            with suppress(GmhealthError):
                each.show_outage(None)
