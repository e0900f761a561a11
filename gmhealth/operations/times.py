"""Times as they are shown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from gmhealth.core.entry import EntryId

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MS: Final = timedelta(milliseconds=1)
LAST_MS: Final = (datetime.max.replace(tzinfo=UTC) - EPOCH) // MS


class Moment(NamedTuple):
    """A time in UTC, and what was taken for granted to read it."""

    time: datetime
    note: str


def id_at(time: datetime) -> EntryId:
    """The first ID that an entry of this millisecond can have."""
    return EntryId(max(0, (time - EPOCH) // MS), 0)


def time_of(entry_id: EntryId) -> datetime | None:
    """The time in an ID, in UTC; None for one that no calendar can show."""
    return from_ms(entry_id.ms)


def from_ms(ms: int) -> datetime | None:
    """Unix milliseconds as a time in UTC; None past the calendar's end."""
    return EPOCH + ms * MS if ms <= LAST_MS else None


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
