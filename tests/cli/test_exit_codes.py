"""Exit codes and the two lines that come with a failure: what happened, to what, and what to do next."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from subprocess import PIPE
from typing import get_args

import psycopg
import pytest
import redis

from gmhealth import errors
from gmhealth.cli.boundary import INTERRUPTED
from gmhealth.cli.doctor import PROBLEM
from gmhealth.cli.types import LogFormat, LogLevel
from gmhealth.settings import Settings
from tests import daemon
from tests.cli.conftest import Run
from tests.cli.world import OFFSET, append, event
from tests.games import add_game

READING = [
    ["status"],
    ["inspect", "game-a"],
    ["offset", "show"],
    ["offset", "reset", "--to-end", "--yes"],
    ["replay", "--from-id", "0-1"],
    ["simulate", "container_oom", "-g", "game-a", "--yes"],
    ["dead-letter", "list"],
    ["dead-letter", "show", "1-1"],
    ["dead-letter", "retry", "--all"],
    ["dead-letter", "purge", "--all"],
]
IDS = [" ".join(words[:2]) for words in READING]


def test_the_codes_are_those_of_the_help(run: Run) -> None:
    codes = {
        error.exit_code
        for error in vars(errors).values()
        if isinstance(error, type) and issubclass(error, errors.GmhealthError)
    }
    told = re.search(r"Exit codes: (.*?)\.", run("--help").stdout, re.DOTALL)
    assert told
    beside = {0, PROBLEM, INTERRUPTED}
    assert {int(number) for number in re.findall(r"\b\d+\b", told[1])} == codes | beside


@pytest.mark.parametrize("words", READING, ids=IDS)
def test_a_server_that_cannot_be_reached_is_exit_5_after_a_few_seconds(
    run: Run, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.setenv("GMHEALTH_REDIS_URL", "redis://:s3cr3t@127.0.0.1:1/0")
    told = run(*words, code=5).stderr
    assert "gmhealth: Redis could not " in told
    assert "→ " in told
    assert "s3cr3t" not in told


@pytest.mark.parametrize(
    "words", [["status"], ["inspect", "game-a"], ["offset", "show"], ["replay", "--from-id", "0-1"]]
)
def test_a_database_that_cannot_be_reached_is_exit_5(
    run: Run, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    append(redis_client, event("game-a", "container_oom"))
    monkeypatch.setenv("GMHEALTH_POSTGRES_DSN", "postgresql://me:s3cr3t@127.0.0.1:1/x")
    told = run(*words, code=5).stderr
    assert "gmhealth: PostgreSQL could not connect" in told
    assert "s3cr3t" not in told


@pytest.mark.parametrize("words", [*READING, ["doctor"]])
def test_without_settings_it_is_exit_2_and_says_which_are_missing(words: list[str]) -> None:
    done = daemon.run(words, {})
    assert done.returncode == 2
    assert "GMHEALTH_REDIS_URL and GMHEALTH_POSTGRES_DSN are not set" in done.stderr
    assert "--embedded" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["status", "--nonsense"], "No such option: --nonsense"),
        (["statuss"], "Did you mean 'status'"),
        (["inspect"], "Missing argument 'GAME_ID'"),
        (["replay", "--from-id", "1-1", "--rate", "0"], "--rate"),
        (["status", "-o", "xml"], "xml"),
        (["inspect", "g", "--events", "0"], "--events"),
    ],
)
def test_what_is_no_command_line_is_exit_2(run: Run, words: list[str], told: str) -> None:
    assert told in run(*words, code=2).stderr


BAD_VALUES = {
    "--log-level": [["--log-level", "loud", "status"]],
    "--log-format": [["--log-format", "xml", "status"]],
    "--from-id": [["replay", "--from-id", "bogus"]],
    "--from-time": [["replay", "--from-time", "yesterday"]],
    "--to-id": [["replay", "--from-id", "0-1", "--to-id", "1-2-3"], ["offset", "reset", "--to-id", "x"]],
    "--to-time": [["replay", "--from-id", "0-1", "--to-time", "2026-13-01"], ["offset", "reset", "--to-time", "x"]],
    "--game-id": [["replay", "--from-id", "0-1", "-g", " "], ["simulate", "container_oom", "-g", "\udcff"]],
    "--ago": [["offset", "reset", "--ago", "5x"]],
    "--by": [["offset", "reset", "--by", "one"]],
    "--at": [["simulate", "container_oom", "-g", "game-a", "--at", "soon"]],
    "--set": [["simulate", "container_oom", "-g", "game-a", "--set", "exit_code"]],
    "--output": [[*words, "--output", "xml"] for words in READING],
    "EVENT": [["simulate", "container_on_fire", "-g", "game-a"]],
    "GAME_ID": [["inspect", ""]],
    "ID": [["dead-letter", each, "5-5-5"] for each in ("show", "retry", "purge")],
    "exactly one of --from-id and --from-time": [
        ["replay"],
        ["replay", "--from-id", "0-1", "--from-time", "1790000000"],
    ],
    "exactly one": [["offset", "reset"], ["offset", "reset", "--to-start", "--to-end"]],
    "IDs or --all": [["dead-letter", "retry"], ["dead-letter", "purge", "5-5", "--all"]],
}


@pytest.mark.parametrize(
    ("name", "words"),
    [(name, words) for name, each in BAD_VALUES.items() for words in each],
    ids=lambda part: part if isinstance(part, str) else " ".join(part).encode("ascii", "replace").decode(),
)
def test_a_bad_value_is_exit_2_and_named_before_any_server_is_asked(
    run: Run, monkeypatch: pytest.MonkeyPatch, name: str, words: list[str]
) -> None:
    monkeypatch.setenv("GMHEALTH_REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("GMHEALTH_POSTGRES_DSN", "host=127.0.0.1 port=1")
    assert name in " ".join(run(*words, code=2).stderr.replace("│", " ").split())


def test_the_levels_and_forms_of_logs_are_those_of_the_settings() -> None:
    assert get_args(LogLevel) == get_args(Settings.model_fields["log_level"].annotation)
    assert get_args(LogFormat) == get_args(Settings.model_fields["log_format"].annotation)


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e300"])
@pytest.mark.parametrize(
    "words",
    [
        ["status", "--watch", "--interval"],
        ["replay", "--from-id", "0-1", "--yes", "--rate"],
        ["simulate", "container_oom", "-g", "game-a", "--yes", "--rate"],
        ["simulate", "container_oom", "-g", "game-a", "--yes", "--wait", "--timeout"],
    ],
    ids=lambda words: f"{words[0]} {words[-1]}",
)
def test_what_no_clock_can_count_is_exit_2(
    run: Run, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch, words: list[str], number: str
) -> None:
    """`nan` is neither too small nor too large."""
    monkeypatch.setattr("gmhealth.operations.status.status", fail_instead)
    monkeypatch.setattr("gmhealth.operations.trace.Trace.follow", fail_instead)
    told = run(*words, number, code=2).stderr
    assert f"Invalid value for '{words[-1]}'" in told
    assert redis_client.dbsize() == 0


def fail_instead(*_: object) -> None:
    """Instead of waiting for ever."""
    raise AssertionError("it went on")


def test_a_key_of_the_wrong_type_is_exit_1_with_what_to_check(run: Run, redis_client: redis.Redis) -> None:
    redis_client.lpush(OFFSET, "x")
    told = run("offset", "show", code=1).stderr
    assert "WRONGTYPE" in told
    assert "→ the key holds something else" in told


def test_a_table_that_is_not_there_is_exit_1(run: Run, pg: psycopg.Connection) -> None:
    pg.execute("DROP TABLE runtime_records")
    told = run("status", code=1).stderr
    assert 'relation "runtime_records" does not exist' in told
    assert "GMHEALTH_POSTGRES_TABLE" in told


def test_a_closed_pipe_is_no_traceback(environ: dict[str, str], pg: psycopg.Connection) -> None:
    """`gmhealth status | head -1`"""
    for number in range(300):
        add_game(pg, f"game-{number}", status="engine_unreachable")
    words = daemon.command("status", "--games", "300")
    reads, writes = os.pipe()
    os.close(reads)
    with subprocess.Popen(words, env=daemon.environment(environ), stdout=writes, stderr=PIPE) as process:
        try:
            os.close(writes)
            _, said = process.communicate(timeout=60)
        finally:
            daemon.ended(process)
    assert (process.returncode, said) == (1, b"")  # as Click has it


def test_no_message_shows_a_secret_of_the_settings(
    run: Run, environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GMHEALTH_REDIS_URL", "nonsense://:s3cr3t@host")
    assert "s3cr3t" not in run("status", code=2).output
    monkeypatch.setenv("GMHEALTH_REDIS_URL", environ["GMHEALTH_REDIS_URL"])
    monkeypatch.setenv("GMHEALTH_POSTGRES_DSN", "postgresql://me:s3cr3t@[bad")
    assert "s3cr3t" not in run("status", code=2).output
    monkeypatch.setenv("GMHEALTH_POSTGRES_DSN", "postgresql://me:tops@s3cr3t@127.0.0.1:1/db")
    for command, code in ((["status"], 2), (["consume", "--once"], 2), (["doctor"], 6)):
        output = run(*command, code=code).output
        assert "the PostgreSQL DSN cannot be read" in output
        assert "s3cr3t" not in output
