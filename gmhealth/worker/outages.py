"""Saying on the one server what the worker waits for on the other: `status` can ask servers, and not the worker."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from gmhealth.core.outage import Outage
from gmhealth.errors import GmhealthError, Unavailable
from gmhealth.worker.ports import Ledger, Rows


class Outages:
    """Tells `ledger` what is wrong with PostgreSQL and `rows` what is wrong with Redis; a failure is no matter."""

    def __init__(self, ledger: Ledger, rows: Rows, clock_ms: Callable[[], int]) -> None:
        self._other: dict[str, Ledger | Rows] = {"Redis": rows, "PostgreSQL": ledger}
        self._clock_ms = clock_ms
        self._since_s: int | None = None
        self._told: dict[str, Ledger | Rows] = {}

    def met(self, error: Unavailable, tries: int) -> None:
        """A step has failed, as the ones before it: `tries` in all."""
        if self._since_s is None:
            self._since_s = self._clock_ms() // 1000
        if error.server:
            other = self._told[error.server] = self._other[error.server]
            with suppress(GmhealthError):
                other.tell(Outage(error.server, error.cause, self._since_s, tries))

    def over(self) -> None:
        """A step has gone well again."""
        self._since_s, told, self._told = None, self._told, {}
        for each in told.values():
            with suppress(GmhealthError):
                each.tell(None)
