"""Values of options and arguments, parsed by Typer before any server is asked: a bad one is exit 2 and named."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, NamedTuple

import typer

from gmhealth.core.entry import EntryId
from gmhealth.operations.times import EPOCH, Moment

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "console", "json", "journal"]
_DURATION: Final = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", re.ASCII)


class Output(StrEnum):
    """The form of a reading command's result."""

    TABLE = "table"
    JSON = "json"


OutputOption = Annotated[Output, typer.Option("--output", "-o", help="Form of the result.", show_choices=True)]


class Detail(NamedTuple):
    """A name and a value for an event's details."""

    name: str
    value: Any


def parse_time(text: str) -> Moment:
    """Read RFC 3339, or Unix seconds or milliseconds."""
    if re.fullmatch(r"\d{10}|\d{13}", text, re.ASCII):
        unit = "seconds" if len(text) == 10 else "milliseconds"
        return Moment(EPOCH + timedelta(**{unit: int(text)}), f"read as Unix {unit}")
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is None:
            return Moment(found.replace(tzinfo=UTC), "no time zone given: read as UTC")
        return Moment(found.astimezone(UTC), "")
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{text!r} is no time; write it as 2026-11-23T03:15:00Z, or with an offset such as +01:00"
        ) from None


def parse_duration(text: str) -> timedelta:
    """Read a duration such as `15m`, `2h`, `1d` or `1h30m`."""
    match = _DURATION.fullmatch(text)
    if not 0 < len(text) < 20 or match is None:
        raise typer.BadParameter(f"{text!r} is no duration; write it as 90s, 15m, 2h, 1d or 1h30m")
    days, hours, minutes, seconds = (min(int(part or 0), 10**6) for part in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def parse_entry_id(text: str) -> EntryId:
    """Read an entry ID as a person pastes it."""
    found = EntryId.parse(text.strip())
    if found is None:
        raise typer.BadParameter(f"{text!r} is no entry ID; write it as 1795449364420-0, `gmhealth inspect` shows some")
    return found


def parse_game_id(text: str) -> str:
    """Refuse what can be no game's ID: blanks, and bytes that are no UTF-8, which Python passes on as surrogates."""
    if not text.strip() or any("\ud800" <= character <= "\udfff" for character in text):
        raise typer.BadParameter(f"{text!r} is no game ID; one is UTF-8 and not blank, `gmhealth status` shows some")
    return text


def parse_detail(text: str) -> Detail:
    """Read `k=v`; a value that is JSON (a number, true, null, an object) is taken as such."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise typer.BadParameter(f"{text!r} is no K=V; write --set exit_code=137")
    try:
        return Detail(name, json.loads(value, parse_constant=_no_json))
    except (ValueError, RecursionError):
        return Detail(name, value)


def _no_json(name: str) -> None:
    raise ValueError(name)  # Python's reader takes NaN and Infinity; no other does
