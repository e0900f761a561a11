"""Moving the offset by hand, on the record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import redis

from gmhealth.adapters.redis.connection import round_trip, translated, unless_error
from gmhealth.core.entry import EntryId
from gmhealth.worker.ports import Saved

LATEST: Final = 100
"""Lines of the audit to look through: so many others cannot move the offset while one waits for an answer."""
RESET_SCRIPT: Final = Path(__file__).with_name("reset.lua").read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Reset:
    """Who moves the offset from where to where, and why."""

    expected: Saved
    new: EntryId
    by: str
    reason: str
    at_ms: int


class RedisReset:
    """Moves `offset` and writes to the stream `audit`."""

    def __init__(self, client: redis.Redis, *, offset: str, audit: str) -> None:
        self._client, self._offset, self._audit = client, offset, audit
        self._script = client.register_script(RESET_SCRIPT)

    def apply(self, reset: Reset) -> bool:
        """Set the offset if it still is what was shown, and record it, in one atomic step; False if it moved."""
        expected = (reset.expected.text or "").encode(errors="surrogateescape")
        with translated(self._client, f"set the offset {self._offset}"):
            obstacle = self._script(
                keys=[self._offset, self._audit],
                args=[expected, str(reset.new), reset.by, reset.reason, reset.at_ms],
            )
        return obstacle is None

    def applied(self, reset: Reset) -> bool:
        """Whether the latest lines of the audit have `reset`, for one whose answer was lost."""
        told = {"by": reset.by, "new": str(reset.new), "reason": reset.reason, "at_ms": str(reset.at_ms)}
        return any(told.items() <= line.items() for line in self._latest(LATEST))

    def last(self) -> Mapping[str, str] | None:
        """The latest line of the audit, None if there is none."""
        return next(iter(self._latest(1)), None)

    def _latest(self, count: int) -> list[dict[str, str]]:
        with translated(self._client, f"read the audit {self._audit}"):
            reply = unless_error(*round_trip(self._client, ("XREVRANGE", self._audit, "+", "-", "COUNT", count)))
        texts = [[value.decode(errors="replace") for value in fields] for _, fields in reply]
        return [dict(zip(each[::2], each[1::2], strict=True)) for each in texts]
