"""The lag, looked up when somebody asks: beside the working loop, on a connection of its own, once a second at most."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Lock
from time import monotonic
from typing import Final, NamedTuple

from prometheus_client.core import GaugeMetricFamily

from gmhealth.core.entry import EntryId
from gmhealth.core.lag_state import Health, LagSample, evaluate, recent
from gmhealth.errors import GmhealthError

EVERY_S: Final = 1.0


class Unread(NamedTuple):
    """What is unread: entries after `offset`, and the age of the oldest one in seconds (0 for none)."""

    offset: EntryId
    entries: int
    oldest_s: float


class Lag(NamedTuple):
    """What is unread and the word for it; None for what could not be asked."""

    unread: Unread | None
    health: Health | None


class LagWatch:
    """Collector that asks `look` and keeps a window of what it said; `consumed`: whether any worker is at work."""

    def __init__(
        self, look: Callable[[], Unread], consumed: Callable[[], bool], *, clock: Callable[[], float] = monotonic
    ) -> None:
        self._look, self._consumed, self._clock = look, consumed, clock
        self._lock = Lock()  # two scrapes at once share one look
        self._samples: list[LagSample] = []
        self._last = Lag(None, None)
        self._asked_at: float | None = None

    def now(self) -> Lag:
        """The lag, at most a second old. Never raises: where Redis does not answer there is none."""
        with self._lock:
            now = self._clock()
            if self._asked_at is None or now - self._asked_at >= EVERY_S:
                self._last = self._ask(now)
                self._asked_at = self._clock()  # a look that fails takes seconds, and the next in line has waited them
            return self._last

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Give a scrape its metrics; without an answer from Redis there is neither a lag nor a state."""
        unread, health = self.now()
        yield GaugeMetricFamily(
            "gmhealth_stream_up", "Whether Redis could be asked for the lag for this scrape.", unread is not None
        )
        if unread is None:
            return
        yield GaugeMetricFamily(
            "gmhealth_lag_entries", "Entries after the saved offset, looked up for this scrape.", unread.entries
        )
        yield GaugeMetricFamily(
            "gmhealth_lag_seconds", "Age of the oldest entry after the saved offset; 0 for none.", unread.oldest_s
        )
        state = GaugeMetricFamily(
            "gmhealth_state",
            "1 for how consuming goes: ok, behind, stalled (unread entries, and the offset does not move), stopped,"
            " rewound.",
            labels=("state",),
        )
        for each in Health:
            state.add_metric((each,), each is health)
        yield state

    def _ask(self, now: float) -> Lag:
        try:
            unread = self._look()
        except GmhealthError:
            return Lag(None, None)
        self._samples = recent([*self._samples, LagSample(now, unread.offset, unread.oldest_s, self._consumed())])
        return Lag(unread, evaluate(self._samples))
