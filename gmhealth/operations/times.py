"""Times as people write them, and as they are shown."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from gmhealth.core.entry import EntryId
from gmhealth.core.events import MAX_OCCURRED_AT_MS
from gmhealth.errors import ConfigError

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MS: Final = timedelta(milliseconds=1)
_DURATION: Final = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", re.ASCII)


def parse_time(text: str) -> tuple[datetime, str]:
    """Read RFC 3339, or Unix seconds or milliseconds; returns the time in UTC and what was taken for granted."""
    if re.fullmatch(r"\d{10}|\d{13}", text, re.ASCII):
        unit = "seconds" if len(text) == 10 else "milliseconds"
        return EPOCH + timedelta(**{unit: int(text)}), f"read as Unix {unit}"
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is None:
            return found.replace(tzinfo=UTC), "no time zone given: read as UTC"
        return found.astimezone(UTC), ""
    except (ValueError, OverflowError):
        raise ConfigError(
            f"{text!r} is no time", hint="write it as 2026-11-23T03:15:00Z, or with an offset such as +01:00"
        ) from None


def parse_duration(text: str) -> timedelta:
    """Read a duration such as `15m`, `2h`, `1d` or `1h30m`."""
    match = _DURATION.fullmatch(text)
    if not 0 < len(text) < 20 or match is None:
        raise ConfigError(f"{text!r} is no duration", hint="write it as 90s, 15m, 2h, 1d or 1h30m")
    days, hours, minutes, seconds = (min(int(part or 0), 10**6) for part in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def parse_entry_id(text: str) -> EntryId:
    """Read an entry ID as a person pastes it."""
    found = EntryId.parse(text.strip())
    if found is None:
        raise ConfigError(f"{text!r} is no entry ID", hint="write it as 1795449364420-0; `gmhealth inspect` shows some")
    return found


def id_at(time: datetime) -> EntryId:
    """The first ID that an entry of this millisecond can have."""
    return EntryId(max(0, (time - EPOCH) // MS), 0)


def time_of(entry_id: EntryId) -> datetime | None:
    """The time in an ID, in UTC; None for one that no calendar can show."""
    return from_ms(entry_id.ms)


def from_ms(ms: int) -> datetime | None:
    """Unix milliseconds as a time in UTC; None past the calendar's end."""
    return EPOCH + ms * MS if ms <= MAX_OCCURRED_AT_MS else None


def utc_and_local(time: datetime | None) -> str:
    """Show a time in UTC and, where that differs, in this machine's zone."""
    if time is None or time == EPOCH:
        return "no calendar time" if time is None else "before every entry"
    utc = f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    try:
        local = time.astimezone()
    except OverflowError:  # the last hours of the year 9999, east of Greenwich
        return utc
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


def ago(seconds: float) -> str:
    """Show an age in its largest unit, for tables."""
    whole = max(0, int(seconds))
    unit, size = next((pair for pair in (("d", 86400), ("h", 3600), ("m", 60)) if whole >= pair[1]), ("s", 1))
    return f"{whole // size} {unit} ago"
