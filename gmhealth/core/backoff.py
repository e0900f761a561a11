"""How long to wait before trying again."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits that double from `first_s` to `cap_s` seconds, each shortened by up to half so that crowds disperse."""

    first_s: float = 0.1
    cap_s: float = 5.0

    def delay(self, failures: int, roll: float) -> float:
        """Seconds to wait after `failures` failures in a row (from 1); `roll` is a random number from 0 to 1."""
        full = min(self.cap_s, self.first_s * 2.0 ** min(failures - 1, 30))
        return full * (1 - roll / 2)
