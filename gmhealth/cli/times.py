"""Times as people write them, and as they are shown."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from gmhealth.core.entry import EntryId
from gmhealth.core.events import MAX_OCCURRED_AT_MS
from gmhealth.errors import ConfigError

_DURATION: Final = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", re.ASCII)


def parse_time(text: str) -> tuple[datetime, str]:
    """Read RFC 3339, or Unix seconds or milliseconds; returns the time in UTC and what was taken for granted."""
    if re.fullmatch(r"\d{10}|\d{13}", text, re.ASCII):
        seconds = int(text) / (1000 if len(text) == 13 else 1)
        return datetime.fromtimestamp(seconds, UTC), f"read as Unix {'milli' if len(text) == 13 else ''}seconds"
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f"{text!r} is no time", hint="write it as 2026-11-23T03:15:00Z, or with an offset such as +01:00"
        ) from None
    if found.tzinfo is None:
        return found.replace(tzinfo=UTC), "no time zone given: read as UTC"
    return found.astimezone(UTC), ""


def parse_duration(text: str) -> timedelta:
    """Read a duration such as `15m`, `2h`, `1d` or `1h30m`."""
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        raise ConfigError(f"{text!r} is no duration", hint="write it as 90s, 15m, 2h, 1d or 1h30m")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def parse_entry_id(text: str) -> EntryId:
    """Read an entry ID as a person pastes it."""
    found = EntryId.parse(text.strip())
    if found is None:
        raise ConfigError(f"{text!r} is no entry ID", hint="write it as 1795449364420-0; `gmhealth inspect` shows some")
    return found


def id_at(time: datetime) -> EntryId:
    """The first ID that an entry of this millisecond can have."""
    return EntryId(max(0, int(time.timestamp() * 1000)), 0)


def time_of(entry_id: EntryId) -> datetime | None:
    """The time in an ID, in UTC; None for one that no calendar can show."""
    return from_ms(entry_id.ms)


def from_ms(ms: int) -> datetime | None:
    """Unix milliseconds as a time in UTC; None past the calendar's end."""
    return datetime.fromtimestamp(ms / 1000, UTC) if ms <= MAX_OCCURRED_AT_MS else None


def utc_and_local(time: datetime | None) -> str:
    """Show a time in UTC and, where that differs, in this machine's zone."""
    if time is None or time.timestamp() == 0:
        return "no calendar time" if time is None else "before every entry"
    utc = f"{time:%Y-%m-%d %H:%M:%S} UTC"
    local = time.astimezone()
    return utc if local.utcoffset() == timedelta(0) else f"{utc} ({local:%Y-%m-%d %H:%M:%S %Z})"


def clock(time: datetime | None) -> str:
    """Show a time in UTC to the millisecond, for tables."""
    return "-" if time is None else f"{time:%Y-%m-%d %H:%M:%S}.{time.microsecond // 1000:03d}Z"


def span(seconds: float | None) -> str:
    """Show a span of time in its two largest units."""
    if seconds is None:
        return "-"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    for unit, size, lesser, lesser_size in (("d", 86400, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1)):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // lesser_size} {lesser}"
    return f"{whole} s"
