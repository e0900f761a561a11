"""Log lines: their forms, the choice among them, and values that mean harm."""

from __future__ import annotations

import json
import logging
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gmhealth.observability import logs
from gmhealth.observability.logs import ConsoleFormatter, JournalFormatter, JsonFormatter, log, set_up
from tests.daemon import environment

FORMS = ["console", "json", "journal"]
HOSTILE = [
    "two\nlines",
    "\r<0>forged",
    "\x1b[2J\x1b]0;title\x07",
    "\x9b31m",
    "\x7f\x00",
    "\u202egnirts\u2066",
    "\u2028\u0085",
    "\ud800",
    'quote " and \\',
    "a=1 b=2",
    "",
    "é",
]


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    before = logs.LOGGER.handlers[:], logs.LOGGER.level, logs.LOGGER.propagate
    yield
    logs.LOGGER.handlers[:], logs.LOGGER.level, logs.LOGGER.propagate = before


def _line(
    form: str, message: str, capsys: pytest.CaptureFixture[str], level: int = logging.INFO, **fields: object
) -> str:
    set_up("debug", form, {})
    log(level, message, **fields)
    return capsys.readouterr().err


def test_the_console_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    line = _line("console", "consuming", capsys, offset="5-0", game_id="game a")
    assert line[8:] == ' info    consuming  offset=5-0 game_id="game a"\n'


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(_line("json", "consuming", capsys, offset="5-0", attempt=3, holder=None, exact=True))
    assert found.pop("time").endswith("+00:00")
    assert found == {
        "level": "info",
        "message": "consuming",
        "offset": "5-0",
        "attempt": 3,
        "holder": None,
        "exact": True,
    }


def test_a_field_cannot_pass_for_the_message(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("debug", "json", {})
    logs.LOGGER.info("true", extra={"fields": {"message": "forged", "level": "error"}})
    found = json.loads(capsys.readouterr().err)
    assert (found["message"], found["level"]) == ("true", "info")


@pytest.mark.parametrize(
    ("level", "priority"), [(logging.DEBUG, 7), (logging.INFO, 6), (logging.WARNING, 4), (logging.ERROR, 3)]
)
def test_the_journal_gets_a_priority_and_no_time(level: int, priority: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert _line("journal", "consuming", capsys, level, offset="5-0") == f"<{priority}>consuming  offset=5-0\n"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("value", HOSTILE)
def test_no_value_breaks_a_line_or_a_terminal(form: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    _is_harmless(_line(form, "message", capsys, game_id=value))


@pytest.mark.parametrize("form", FORMS)
@given(value=st.text())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_text_at_all_does(form: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    _is_harmless(_line(form, "message", capsys, game_id=value))


def _is_harmless(line: str) -> None:
    assert line.endswith("\n")
    assert line.count("\n") == 1
    assert all(" " <= character <= "~" for character in line[:-1])


def test_a_value_keeps_what_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    for value in HOSTILE:
        assert json.loads(_line("json", "message", capsys, game_id=value))["game_id"] == value


def test_a_value_cannot_fill_the_disk(capsys: pytest.CaptureFixture[str]) -> None:
    line = _line("console", "message", capsys, error="x" * 1_000_000)
    assert len(line) < 2 * logs.LONGEST
    assert "(1000000 characters)" in line


def test_a_level_holds_back_what_is_below_it(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("warning", "console", {})
    log(logging.INFO, "no")
    log(logging.WARNING, "yes")
    assert capsys.readouterr().err[8:] == " warning yes\n"


@pytest.mark.parametrize(
    ("form", "formatter"), [("console", ConsoleFormatter), ("json", JsonFormatter), ("journal", JournalFormatter)]
)
def test_what_is_asked_for_is_taken(form: str, formatter: type[logging.Formatter]) -> None:
    set_up("info", form, {"JOURNAL_STREAM": "1:2"})
    assert type(logs.LOGGER.handlers[0].formatter) is formatter


CHOICE = """
import os
from gmhealth.observability.logs import LOGGER, set_up
set_up("info", "auto", os.environ)
print(type(LOGGER.handlers[0].formatter).__name__)
"""


def _chosen(stderr: int, environ: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", CHOICE], stdout=subprocess.PIPE, stderr=stderr, env=environment(environ), check=True
    )
    return done.stdout.decode().strip()


def test_auto_takes_the_journal_where_that_listens(tmp_path: Path) -> None:
    with (tmp_path / "journal").open("wb") as journal, (tmp_path / "other").open("wb") as other:
        found = os.fstat(journal.fileno())
        environ = {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
        assert _chosen(journal.fileno(), environ) == "JournalFormatter"
        # Inherited from a service, but standard error leads elsewhere (systemd.exec(5)).
        assert _chosen(other.fileno(), environ) == "ConsoleFormatter"
        assert _chosen(journal.fileno(), {"JOURNAL_STREAM": "nonsense"}) == "ConsoleFormatter"


def test_auto_takes_the_console_on_a_terminal() -> None:
    leader, follower = pty.openpty()
    try:
        assert _chosen(follower, {}) == "ConsoleFormatter"
    finally:
        os.close(leader)
        os.close(follower)


def test_auto_does_without_a_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", None)
    set_up("info", "auto", {"JOURNAL_STREAM": "1:2"})
    assert type(logs.LOGGER.handlers[0].formatter) is ConsoleFormatter
