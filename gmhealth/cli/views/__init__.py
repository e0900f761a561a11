"""The results of reading commands: one model each, which JSON output is and tables are drawn from.

Field names are stable. Times are RFC 3339 in UTC; entry IDs are given raw beside them.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel

Time = Annotated[datetime, AfterValidator(lambda time: time.astimezone(UTC))]


class View(BaseModel, frozen=True):
    """What a command shows."""

    def as_json(self, *, indent: int | None = None) -> str:
        """Write it in plain ASCII, so that nothing in it can steer a terminal, lone surrogates included."""
        return json.dumps(self.model_dump(mode="json"), indent=indent)


class TargetView(View):
    """What a command looked at; never a secret."""

    redis: str
    stream: str
    offset_key: str
    postgres: str
    table: str


class EntryView(View):
    """A place in a stream."""

    id: str
    time: Time | None


class LagView(View):
    """How far the consumer is behind; `entries` is None where the stream is gone.

    `seconds` is the age of the oldest unread entry, 0 if there is none.
    """

    entries: int | None
    exact: bool
    seconds: float


class GapView(View):
    """Entries that were removed before they were read; `lost` is None where the server does not count."""

    kind: str
    lost: int | None
    exact: bool
    text: str


class BreakView(View):
    """The last time that a consumer found that the stream did not lead on from the offset; it has gone on since."""

    kind: str
    at: Time
    offset: EntryView
    lost: int | None
    exact: bool
    text: str
