"""Times and durations, as they are written and as they are shown."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from gmhealth.cli.types import parse_duration, parse_entry_id, parse_time
from gmhealth.core.entry import EntryId
from gmhealth.core.events import MAX_OCCURRED_AT_MS
from gmhealth.operations.times import ago, clock, from_ms, id_at, span, utc_and_local

MOMENT = datetime(2026, 11, 23, 3, 15, tzinfo=UTC)


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine east of Greenwich."""
    monkeypatch.setenv("TZ", "XST-02:30")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("2026-11-23T03:15:00Z", ""),
        ("2026-11-23T03:15:00.000+00:00", ""),
        ("2026-11-23T04:15:00+01:00", ""),
        ("2026-11-23 03:15", "no time zone given: read as UTC"),
        ("1795403700", "read as Unix seconds"),
        ("1795403700000", "read as Unix milliseconds"),
    ],
)
def test_a_time_is_read_in_the_forms_people_have_it(text: str, note: str) -> None:
    assert parse_time(text) == (MOMENT, note)


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "0001-01-01T00:00:00+23:00", "\x1b[31m"])
def test_what_is_no_time_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is no time; write it as 2026-11-23T03:15:00Z"):
        parse_time(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("15m", 900), ("2h", 7200), ("1d", 86400), ("1h30m", 5400), ("1d2h3m4s", 93784)]
)
def test_a_duration_is_read(text: str, seconds: int) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "15", "m", "-5m", "1m1h", "1.5h", "9" * 5000 + "d"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is no duration; write it as 90s, 15m, "):
        parse_duration(text)


def test_a_duration_beyond_all_calendars_is_long() -> None:
    assert parse_duration("999999999d") > timedelta(days=365_000)


@given(st.integers(0, MAX_OCCURRED_AT_MS))
def test_a_time_and_the_first_id_of_its_millisecond_are_one(ms: int) -> None:
    moment = from_ms(ms)
    assert moment is not None
    assert id_at(moment) == EntryId(ms, 0)


def test_an_id_past_the_calendar_has_no_time() -> None:
    assert from_ms(MAX_OCCURRED_AT_MS + 1) is None
    assert (utc_and_local(None), clock(None)) == ("no calendar time", "-")


def test_an_entry_id_is_read_as_it_was_pasted() -> None:
    assert parse_entry_id(" 5-1\n") == EntryId(5, 1)
    with pytest.raises(typer.BadParameter, match="is no entry ID"):
        parse_entry_id("5-1-2")


@pytest.mark.usefixtures("zone")
def test_a_time_is_shown_in_utc_and_in_this_machine_s_zone() -> None:
    assert utc_and_local(MOMENT) == "2026-11-23 03:15:00 UTC (2026-11-23 05:45:00 XST)"
    assert utc_and_local(datetime(9999, 12, 31, 23, tzinfo=UTC)) == "9999-12-31 23:00:00 UTC"
    assert utc_and_local(from_ms(0)) == "before every entry"


def test_where_the_zone_is_utc_it_is_shown_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    assert utc_and_local(MOMENT) == "2026-11-23 03:15:00 UTC"


def test_a_clock_shows_milliseconds() -> None:
    assert clock(MOMENT + timedelta(milliseconds=7)) == "2026-11-23 03:15:00.007Z"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0.25, "250 ms"), (4.25, "4.2 s"), (60, "1 m 0 s"), (7325, "2 h 2 m"), (90_000, "1 d 1 h")],
)
def test_a_span_has_its_two_largest_units(seconds: float | None, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0 s ago"), (59, "59 s ago"), (3599, "59 m ago"), (86_399, "23 h ago"), (10**6, "11 d ago")],
)
def test_an_age_has_its_largest_unit(seconds: float, text: str) -> None:
    assert ago(seconds) == text
