"""Moving the offset by hand, on the record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import redis

from gmhealth.adapters.redis_connection import round_trip, translated, unless_error
from gmhealth.core.entry import EntryId
from gmhealth.ports import Saved

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

    def last(self) -> Mapping[str, str] | None:
        """The latest line of the audit, None if there is none."""
        with translated(self._client, f"read the audit {self._audit}"):
            reply = unless_error(*round_trip(self._client, ("XREVRANGE", self._audit, "+", "-", "COUNT", 1)))
        if not reply:
            return None
        fields = [value.decode(errors="replace") for value in reply[0][1]]
        return dict(zip(fields[::2], fields[1::2], strict=True))
