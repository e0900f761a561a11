"""The commands, run in this process, as a process of their own, or on a terminal; each on databases of its own."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pexpect
import psycopg
import pytest
import redis
from typer.testing import CliRunner, Result

from gmhealth.cli import app
from tests import daemon
from tests.cli.world import LOBBY, OFFSET, append, event
from tests.eventually import eventually
from tests.games import add_game


class Run(Protocol):
    """Runs a command in this process and returns what it wrote; fails unless it exits with `code`."""

    def __call__(self, *words: str, code: int = 0, columns: int | None = None) -> Result: ...


# A backend ends a moment after its client: a leader lock that it still had would turn the next command away.
OWN_SESSIONS = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE %s"


@pytest.fixture
def environ(redis_url: str, postgres_dsn: str) -> dict[str, str]:
    """The variables that lead a command to this test's databases."""
    return {"GMHEALTH_REDIS_URL": redis_url, "GMHEALTH_POSTGRES_DSN": postgres_dsn}


@pytest.fixture
def run(environ: dict[str, str], pg: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.delenv("COLUMNS", raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    def go(*words: str, code: int = 0, columns: int | None = None) -> Result:
        environ: dict[str, str | None] = {} if columns is None else {"COLUMNS": str(columns)}
        result = CliRunner().invoke(app, list(words), env=environ, prog_name="gmhealth")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        eventually(lambda: not pg.execute(OWN_SESSIONS, [f"gmhealth %:{os.getpid()}"]).fetchone())
        return result

    return go


@pytest.fixture
def run_json(run: Run) -> Callable[..., Any]:
    """Run a command with `-o json`; returns what standard output, whole, says."""

    def go(*words: str, code: int = 0) -> Any:
        return json.loads(run(*words, "-o", "json", code=code).stdout)

    return go


@pytest.fixture
def consumed(run: Run, redis_client: redis.Redis, pg: psycopg.Connection) -> list[str]:
    """Three games and what became of them: one lost, one in the middle of a turn, one that recovered."""
    add_game(pg, "game-lost")
    add_game(pg, "game-busy", status="generation_in_progress")
    add_game(pg, "game-back")
    ids = [
        append(redis_client, event("game-lost", "probe_failed", 1_790_000_001_000)),
        append(redis_client, event("game-lost", "container_oom", 1_790_000_002_000)),
        append(redis_client, event("game-busy", "container_exited", 1_790_000_003_000)),
        append(redis_client, event("game-back", "container_disappeared", 1_790_000_004_000)),
        append(redis_client, event("game-back", "probe_recovered", 1_790_000_005_000)),
        append(redis_client, event("game-back", "container_started", 1_790_000_006_000)),
    ]
    run("consume", "--once")
    return ids


@pytest.fixture
def alone(redis_client: redis.Redis) -> Callable[[], None]:
    """Forget the consumer's traces on Redis, so that a range can be run as if for the first time."""

    def forget() -> None:
        redis_client.delete(OFFSET, LOBBY)

    return forget


@pytest.fixture
def live(environ: dict[str, str], tmp_path: Path) -> Iterator[Path]:
    """A consumer at work in a process of its own; gives its log."""
    with live_consumer(environ, tmp_path / "consume.log") as log:
        yield log


@contextmanager
def live_consumer(environ: dict[str, str], log: Path) -> Iterator[Path]:
    with daemon.started(["consume"], environ, log):
        eventually(lambda: "info    consuming" in log.read_text(), within=30)
        yield log


@pytest.fixture
def replaying(
    environ: dict[str, str], redis_client: redis.Redis, pg: psycopg.Connection, tmp_path: Path
) -> Iterator[None]:
    """A replay at work in a process of its own, for longer than a test takes."""
    add_game(pg, "game-a")
    for _ in range(600):
        append(redis_client, event("game-a", "probe_failed"))
    words = ["replay", "--from-id", "0-1", "--rate", "2", "--yes"]
    with daemon.started(words, environ, tmp_path / "replay.log"):
        eventually(lambda: redis_client.exists(LOBBY), within=30)
        yield


class Terminal(Protocol):
    """Starts a command on a terminal of its own."""

    def __call__(self, *words: str, columns: int = 80, **extra: str) -> pexpect.spawn[str]: ...


@pytest.fixture
def terminal(environ: dict[str, str]) -> Iterator[Terminal]:
    children: list[pexpect.spawn[str]] = []

    def start(*words: str, columns: int = 80, **extra: str) -> pexpect.spawn[str]:
        program, *arguments = daemon.command(*words)
        child = pexpect.spawn(
            program,
            arguments,
            env={**daemon.environment(environ), "TERM": "xterm-256color", **extra},
            dimensions=(40, columns),
            encoding="utf-8",
            timeout=30,
        )
        children.append(child)
        return child

    yield start
    for child in children:
        child.close(force=True)


def finish(child: pexpect.spawn[str], code: int) -> str:
    """Read what is left to the end; the command must exit with `code`."""
    left = child.read()
    child.wait()
    assert child.exitstatus == code, left
    return left


@pytest.fixture(autouse=True)
def _no_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """A time zone and a user that are nobody's: messages name both."""
    monkeypatch.setenv("USER", "operator")
    for name in ("SUDO_USER", "LOGNAME", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
