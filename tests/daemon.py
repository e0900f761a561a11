"""A real `gmhealth` process, for tests that are about the process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """What a command finds in its environment: little, and nothing of this run's settings."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LD_LIBRARY_PATH") if name in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT), **extra}


def command(*arguments: str) -> list[str]:
    """A command line of the gmhealth of this checkout."""
    return [sys.executable, "-m", "gmhealth", *arguments]


def run(
    arguments: Sequence[str], environ: Mapping[str, str], *, answer: str | None = None, prefix: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [*prefix, *command(*arguments)],
        env=environment(environ),
        input=answer or "",  # never the terminal of this run
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def ended(process: subprocess.Popen[Any]) -> None:
    """Kill a process if it still lives, and wait for its end, but not for ever: it may hang in the kernel."""
    process.kill()
    process.wait(10)


@contextmanager
def started(
    arguments: Sequence[str], environ: Mapping[str, str], log: Path, *, prefix: Sequence[str] = ()
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command with its output in `log`, and kill it at the end if it still lives."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*prefix, *command(*arguments)],
            env=environment(environ),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield process
    finally:
        ended(process)
