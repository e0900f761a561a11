"""The results of reading commands: one model each, which JSON output is and tables are drawn from.

Field names are stable. Times are RFC 3339 in UTC; entry IDs are given raw beside them.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any


def as_json(view: Any, *, indent: int | None = None) -> str:
    """Write `view` in plain ASCII, so that nothing in it can steer a terminal."""
    return json.dumps(asdict(view), default=_plain, indent=indent)


def _plain(value: datetime) -> str:
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


@dataclass(frozen=True, kw_only=True)
class TargetView:
    """What a command looked at; never a secret."""

    redis: str
    stream: str
    offset_key: str
    postgres: str
    table: str


@dataclass(frozen=True, kw_only=True)
class EntryView:
    """A place in a stream."""

    id: str
    time: datetime | None


@dataclass(frozen=True, kw_only=True)
class LagView:
    """How far the consumer is behind; `entries` is None where the stream is gone.

    `seconds` is the age of the oldest unread entry, 0 if there is none.
    """

    entries: int | None
    exact: bool
    seconds: float


@dataclass(frozen=True, kw_only=True)
class GapView:
    """Entries that were removed before they were read; `lost` is None where the server does not count."""

    kind: str
    lost: int | None
    exact: bool
    text: str


@dataclass(frozen=True, kw_only=True)
class BreakView:
    """The last time that a consumer found that the stream did not lead on from the offset; it has gone on since."""

    kind: str
    at: datetime
    offset: EntryView
    lost: int | None
    exact: bool
    text: str
