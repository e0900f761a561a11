"""Who takes part, and how to run one of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scripts.benchmark.task import Result, Task

ROOT: Final = Path(__file__).parents[2]
PATIENCE_S: Final = 600


class Failed(Exception):
    """A contestant did not do its task."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """A program that takes a task.

    `cap`: it drains no more entries than that, as its rate does not depend on the backlog and time is short.
    `keeps_offset`: it saves the offset under the record's key. `writes`: its rows and snapshots are checked.
    """

    title: str
    module: str
    cap: int | None = None
    keeps_offset: bool = True
    writes: bool = True
    python: str = sys.executable


GMHEALTH: Final = Contestant("gmhealth", "scripts.benchmark.contestants.gmhealth_worker")
COMMAND: Final = Contestant("gmhealth consume --once, with its start", "scripts.benchmark.contestants.gmhealth_command")
LOOP: Final = Contestant("one-event-at-a-time loop", "scripts.benchmark.contestants.loop", cap=20_000)
BARE: Final = Contestant("bare read-update-append loop", "scripts.benchmark.contestants.bare")
READ_ONLY: Final = Contestant(
    "reading only (redis-py + hiredis)", "scripts.benchmark.contestants.read_only", keeps_offset=False, writes=False
)
READ_RAW: Final = Contestant(
    "reading only, replies as hiredis gives them",
    "scripts.benchmark.contestants.read_raw",
    keeps_offset=False,
    writes=False,
)


def command(contestant: Contestant, task: Task) -> list[str]:
    """Give the command line that has `contestant` do `task`."""
    return [contestant.python, "-P", "-m", contestant.module, task.as_argument()]


def environment() -> dict[str, str]:
    """Give a contestant's environment: no settings of ours, and the checkout on the path of any Python."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GMHEALTH_")}
    return kept | {"PYTHONPATH": os.fspath(ROOT)}


def run(contestant: Contestant, task: Task) -> Result:
    """Have `contestant` do `task` in a process of its own."""
    try:
        done = subprocess.run(
            command(contestant, task), env=environment(), capture_output=True, text=True, timeout=PATIENCE_S, check=True
        )
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{contestant.title} did not finish {task.entries:,} entries in {PATIENCE_S} s") from error
    except subprocess.CalledProcessError as error:
        raise Failed(f"{contestant.title} ended with {error.returncode}:\n{error.stderr[-2000:]}") from error
    return Result(**json.loads(done.stdout.splitlines()[-1]))
