"""`scripts/torture` in its short mode, and what it leaves behind: nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from scripts.benchmark.roster import environment
from scripts.torturing.kinds import KINDS
from tests.daemon import ended
from tests.eventually import eventually

TORTURE = [sys.executable, "-P", "-m", "scripts.torturing"]


def processes_about(directory: Path) -> list[str]:
    """The command lines and working directories of processes that have to do with a directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_text().replace("\0", " ")
            about = (words, os.fspath((process / "cwd").readlink()))
        except OSError:
            continue
        if any(str(directory) in text for text in about):
            found.append(words)
    return found


@contextmanager
def interruptible(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """Start it; whatever becomes of the test, it may clean up after itself, and has an end."""
    with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(20)
            finally:
                ended(process)


@pytest.mark.timeout(600)  # half a minute, on a machine that has nothing else to do
def test_a_hundred_faults_and_every_promise_kept(tmp_path: Path) -> None:
    done = subprocess.run(
        [*TORTURE, "--faults", "100", "--lanes", "4", "--keep", str(tmp_path)],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=580,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "100 faults" in done.stdout.splitlines()[-1]
    assert "no violation" in done.stdout
    # Each lane deals its own deck, and 25 faults of one are not all of it: a kind or two may be in nobody's hand.
    assert sum(kind.name in done.stdout for kind in KINDS) >= len(KINDS) - 8
    assert processes_about(tmp_path) == []


def test_interrupted_it_prints_the_table_so_far_and_leaves_no_process(tmp_path: Path) -> None:
    command = [*TORTURE, "--faults", "1000", "--lanes", "2", "--seed", "9", "--keep", str(tmp_path)]
    with interruptible(command) as process:
        logs = [tmp_path / f"lane-{lane}" / "evidence" / "consumer.log" for lane in range(2)]
        eventually(lambda: all(log.exists() and b"consuming" in log.read_bytes() for log in logs), within=60)
        assert processes_about(tmp_path) != []
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert said.startswith("seed 9, 2 lanes, 1,000 faults")
    assert "| kind" in said
    assert processes_about(tmp_path) == []
