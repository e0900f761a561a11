"""Log lines: a constant message and fields, one line each, whatever the values hold."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

LOGGER: Final = logging.getLogger("gmhealth")
_PLAIN: Final = re.compile(r"[\w.:/+@#-]+", re.ASCII)
LONGEST: Final = 1000
"""Characters of one value; what is longer is a server's error text gone wild, or hostile."""
_PRIORITY: Final = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}


def set_up(level: str, form: str, environ: Mapping[str, str]) -> None:
    """Send log lines to standard error in `form`; `auto` is the journal's where that listens, else a person's."""
    if form == "auto":
        form = "journal" if _is_journal(environ) else "console"
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(FORMATTERS[form]())
    LOGGER.handlers[:] = [handler]
    LOGGER.setLevel(level.upper())
    LOGGER.propagate = False


def log(level: int, message: str, **fields: Any) -> None:
    """Write one line: `message` is constant, what differs is in `fields`."""
    LOGGER.log(level, message, extra={"fields": fields})


def _is_journal(environ: Mapping[str, str]) -> bool:
    """Whether standard error is the journal's socket (systemd.exec(5), $JOURNAL_STREAM)."""
    if sys.stderr is None:  # closed by whoever started us
        return False
    try:
        found = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def _fields(record: logging.LogRecord) -> Mapping[str, Any]:
    fields: Mapping[str, Any] = getattr(record, "fields", {})
    return fields


def _shown(value: Any) -> Any:
    """`value` as it may stand in a line: a number, a word for nothing, or text of a bounded length."""
    if value is None or isinstance(value, bool | int | float):
        return value
    text = str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text)} characters)"


def _dumped(value: Any) -> str:
    """JSON of printable ASCII only: what it holds can neither end the line nor steer a terminal."""
    return json.dumps(value).replace("\x7f", "\\u007f")


def _quoted(value: Any) -> str:
    """`value` as one word of printable ASCII."""
    text = str(_shown(value))
    return text if _PLAIN.fullmatch(text) else _dumped(text)


class ConsoleFormatter(logging.Formatter):
    """`12:34:56 info    message  key=value`, for people."""

    def format(self, record: logging.LogRecord) -> str:
        """Format one line."""
        time = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
        return f"{time} {record.levelname.lower():7} {self.text(record)}"

    def text(self, record: logging.LogRecord) -> str:
        """The message and its fields."""
        fields = "".join(f" {name}={_quoted(value)}" for name, value in _fields(record).items())
        return record.getMessage() + (" " + fields if fields else "")


class JournalFormatter(ConsoleFormatter):
    """The same without the time, which the journal adds, and with its priority (sd-daemon(3))."""

    def format(self, record: logging.LogRecord) -> str:
        """Format one line."""
        return f"<{_PRIORITY.get(record.levelname, 6)}>{self.text(record)}"


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Format one line."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        fields = {name: _shown(value) for name, value in _fields(record).items()}
        return _dumped({**fields, "time": time, "level": record.levelname.lower(), "message": record.getMessage()})


FORMATTERS: Final = {"console": ConsoleFormatter, "json": JsonFormatter, "journal": JournalFormatter}
