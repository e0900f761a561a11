"""gmhealth as its users run it: a process of its own, over the servers of the test."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import daemon
from tests.eventually import eventually

PATIENCE_S = 60.0  # a machine may be slow


@dataclass(frozen=True)
class Gmhealth:
    """Runs commands and, with `start`, daemons that are killed at the end of the test."""

    environ: Mapping[str, str]
    directory: Path
    stack: ExitStack

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return daemon.run(arguments, self.environ)

    def start(self, *arguments: str) -> Daemon:
        """Start a command and leave it running."""
        log = self.directory / f"log-{len(list(self.directory.iterdir()))}"
        return Daemon(self.stack.enter_context(daemon.started(arguments, self.environ, log)), log)


@dataclass(frozen=True)
class Daemon:
    """A process and what it says."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def said(self) -> str:
        """Everything so far."""
        return self.log.read_text(encoding="utf-8")

    def says(self, text: str) -> None:
        """Wait until it has said `text`."""
        eventually(lambda: text in self.said or self.process.poll() is not None)
        assert text in self.said, self.said

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)


@pytest.fixture
def over(tmp_path: Path) -> Iterator[Callable[[Mapping[str, str]], Gmhealth]]:
    """Makes a `Gmhealth` over given settings."""
    directory = tmp_path / "logs"
    directory.mkdir()
    with ExitStack() as stack:
        yield lambda settings: Gmhealth(settings, directory, stack)


@pytest.fixture
def gmhealth(over: Callable[[Mapping[str, str]], Gmhealth], redis_url: str, postgres_dsn: str) -> Gmhealth:
    """Over the databases of the test."""
    return over({"GMHEALTH_REDIS_URL": redis_url, "GMHEALTH_POSTGRES_DSN": postgres_dsn})
