"""Hostile strings, through every command that prints them: nothing of them steers a terminal."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
import redis

from gmhealth.core.packed_letter import pack
from gmhealth.core.text import safe
from tests.cli.conftest import Run
from tests.cli.world import AUDIT, DROPPED, HOSTILE, LETTERS, LOBBY, OFFSET, STREAM, append, event
from tests.games import add_game

GAME = HOSTILE.replace("\n", "")
LONG = "x" * 100_000


def harmless(text: str) -> str:
    """Fail if `text` holds what a terminal would act on."""
    bad = {each for each in text if unicodedata.category(each) in ("Cc", "Cf", "Cs", "Zl", "Zp")} - {"\n"}
    assert not bad
    return text


@pytest.fixture
def world(run: Run, redis_client: redis.Redis, pg: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> str:
    """A game, an event, an audit, a consumer and a dead letter of the worst kind; gives the letter's ID."""
    for game_id in (GAME, "[/x]"):
        add_game(pg, game_id, status="engine_unreachable", health="probe_failed")
    append(redis_client, event(GAME, "container_oom", container_id=HOSTILE, details=HOSTILE + LONG))
    append(redis_client, event(GAME, "inspect_unhealthy", details=b"\xff\xfe" + HOSTILE.encode()))
    append(redis_client, {**event(GAME, HOSTILE), HOSTILE: HOSTILE, "long": LONG, "bytes": b"\xff\xfe\x00"})
    run("consume", "--once")
    audit = {"by": HOSTILE, "old": HOSTILE, "new": HOSTILE, "reason": HOSTILE + LONG, "at_ms": HOSTILE}
    redis_client.execute_command("XADD", AUDIT, "*", *(part for pair in audit.items() for part in pair))
    pg.execute("SELECT set_config('application_name', %s, false)", ["a\x1b[31m[/x]b"])
    pg.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [OFFSET])
    redis_client.set("gamemaster:waiting:health_events", f"{GAME} !Lock 1 2\n{HOSTILE}{LONG}")
    found: Any = redis_client.xrange(LETTERS)
    redis_client.xadd(LETTERS, {"letter": HOSTILE})
    redis_client.xadd(LETTERS, {"letter": pack(HOSTILE.encode(), HOSTILE, [HOSTILE.encode()] * 2)})
    append(redis_client, event(GAME, "container_exited"))
    return str(found[0][0].decode())


COMMANDS = {
    "status": ["status"],
    "inspect": ["inspect", GAME],
    "offset show": ["offset", "show"],
    "offset reset": ["offset", "reset", "--to-start", "--dry-run"],
    "replay": ["replay", "--from-id", "0-1", "--dry-run"],
    "replay of a game": ["replay", "--from-id", "0-1", "--game-id", GAME, "--dry-run"],
    "doctor": ["doctor"],
    "dead-letter list": ["dead-letter", "list"],
    "dead-letter show": ["dead-letter", "show", "LETTER"],
    "dead-letter retry": ["dead-letter", "retry", "--all", "--yes"],
    "dead-letter purge": ["dead-letter", "purge", "--all", "--yes"],
    "simulate": ["simulate", "container_oom", "-g", GAME, "--set", f"k={HOSTILE}", "--container-id", HOSTILE, "--yes"],
    "simulate --print": ["simulate", "container_oom", "-g", GAME, "--container-id", HOSTILE, "--print"],
    "simulate --dry-run": ["simulate", "container_oom", "-g", GAME, "--container-id", HOSTILE, "--dry-run"],
}
SHOWS_GAME = {"status", "inspect", "replay", "replay of a game", "simulate", "simulate --print", "simulate --dry-run"}


@pytest.mark.parametrize("columns", [None, 40, 80, 200])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_table_shows_them_as_text(run: Run, world: str, name: str, columns: int | None) -> None:
    words = [world if word == "LETTER" else word for word in COMMANDS[name]]
    result = run(*words, columns=columns)
    shown = harmless(result.output)
    if name in SHOWS_GAME:
        assert safe(GAME)[:15] in shown
    assert LONG not in shown


@pytest.mark.parametrize("columns", [40, 80])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_table_of_them_keeps_its_width(run: Run, world: str, name: str, columns: int) -> None:
    words = [world if word == "LETTER" else word for word in COMMANDS[name]]
    lines = run(*words, columns=columns).output.splitlines()
    reports = ("next: ", "undo: ", "part of the range may be gone: ")  # two to paste, one of an old Redis
    assert [line for line in lines if len(line) > columns and not line.startswith(reports)] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_json_has_them_whole_and_escaped(run: Run, world: str, name: str) -> None:
    words = [world if word == "LETTER" else word for word in COMMANDS[name]]
    text = run(*words, "-o", "json").stdout
    assert text.isascii()
    found = json.loads(harmless(text))
    if name == "inspect":
        assert found["row"]["game_id"] == GAME
        assert found["events"][0]["container_id"] == HOSTILE
    if name == "dead-letter show":
        assert [HOSTILE, HOSTILE] in found["fields"]
        assert ["long", LONG] in found["fields"]
        assert ["bytes", "\\xff\\xfe\x00"] in found["fields"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["inspect", GAME], 3),
        (["inspect", LONG], 3),
        (["inspect", "bad\udcff"], 2),
        (["inspect", HOSTILE, "--events", HOSTILE], 2),
        (["replay", "--from-id", HOSTILE], 2),
        (["replay", "--from-time", HOSTILE], 2),
        (["replay", "--from-id", "0-1", "-g", "\udcff", "--yes"], 2),
        (["offset", "reset", "--to-id", HOSTILE], 2),
        (["offset", "reset", "--ago", HOSTILE], 2),
        (["simulate", HOSTILE, "-g", "game-a"], 2),
        (["simulate", "container_oom", "-g", "game-a", "--set", HOSTILE], 2),
        (["simulate", "container_oom", "-g", "\udcff"], 2),
        (["dead-letter", "show", HOSTILE], 2),
        (["status", "--output", HOSTILE], 2),
        (["status", f"--{HOSTILE}"], 2),
        (["status", HOSTILE], 2),
        ([HOSTILE], 2),
        (["--log-level", HOSTILE, "status"], 2),
        (["--config", f"/{GAME}.toml", "status"], 2),
    ],
)
def test_an_error_shows_what_was_given_as_text(
    run: Run, redis_client: redis.Redis, words: list[str], code: int
) -> None:
    append(redis_client, event("game-a", "probe_failed"))
    told = harmless(run(*words, code=code).output)
    assert told.strip()
    assert len(told) < 10_000


def test_an_error_of_a_server_is_shown_as_text(
    run: Run, pg: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL says back what it was given."""
    monkeypatch.setenv("GMHEALTH_POSTGRES_TABLE", "a\x1b[31m\u202eb")
    told = harmless(run("status", code=1).stderr)
    assert "\\x1b[31m\\u202eb" in told


def test_the_names_of_streams_are_shown_as_text(
    run: Run, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GMHEALTH_HEALTH_STREAM", HOSTILE)
    for words in (["status"], ["offset", "show"], ["doctor"]):
        harmless(run(*words).output)
    assert redis_client.exists(STREAM) == 0
    harmless(run("offset", "reset", "--to-end", "--yes", code=3).stderr)


@pytest.mark.parametrize("digits", ["²", "9" * 5000, "9" * 18, "9" * 15])
def test_digits_that_are_no_number_or_no_time_stop_no_command(
    run: Run, redis_client: redis.Redis, pg: psycopg.Connection, digits: str
) -> None:
    add_game(pg, "game-a")
    append(redis_client, event("game-a", "probe_failed"))
    told: dict[Any, Any] = {"event_type": "runtime_snapshot_update", "game_id": "game-a"}
    redis_client.xadd(LOBBY, {**told, "current_turn": digits, "occurred_at_ms": digits})
    redis_client.xadd(AUDIT, {"by": "operator", "old": "1-0", "new": "2-0", "at_ms": digits})
    redis_client.set(DROPPED, digits)
    assert f"turn {digits[:15]}" in run("inspect", "game-a", columns=5100).stdout
    assert "1-0 -> 2-0 by operator" in run("offset", "show").stdout
    run("status")
    run("dead-letter", "list")


def test_no_markup_is_read(run: Run, world: str) -> None:
    assert "[/x]" in run("status").stdout


def test_a_question_shows_what_it_names_as_text(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from gmhealth.cli.session import confirm
    from gmhealth.errors import Refused

    monkeypatch.setattr("gmhealth.cli.render.interactive", lambda: True)
    monkeypatch.setattr("gmhealth.cli.session.sys.stdin", _Answers("n\n"))
    session: Any = SimpleNamespace(parts=SimpleNamespace(let_go=lambda: None))
    with pytest.raises(Refused):
        confirm(session, HOSTILE, yes=False)
    harmless(capsys.readouterr().err)


class _Answers:
    """A keyboard."""

    def __init__(self, text: str) -> None:
        self._text = text

    def readline(self) -> str:
        return self._text


@pytest.mark.parametrize("outcome", ["row", "follow"])
def test_a_followed_line_is_text(outcome: str, make_line: Callable[[str], str]) -> None:
    harmless(make_line(outcome))


@pytest.fixture
def make_line() -> Callable[[str], str]:
    """A line of `inspect --follow` from an event or a snapshot that is hostile in every field."""
    from gmhealth.cli.inspect import _line
    from gmhealth.operations.models import EntryView, EventView, SnapshotView

    entry = EntryView(id=HOSTILE, time=None)

    def make(outcome: str) -> str:
        if outcome == "row":
            return _line(
                EventView(
                    entry=entry,
                    type=HOSTILE,
                    occurred_at=None,
                    container_id=HOSTILE,
                    details=HOSTILE,
                    read=True,
                    outcome="",
                    why="",
                )
            )
        return _line(
            SnapshotView(
                entry=entry,
                current_turn=HOSTILE,
                runtime_status=HOSTILE,
                engine_health_summary=HOSTILE,
                occurred_at_ms=HOSTILE,
            )
        )

    return make
