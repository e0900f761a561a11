"""The command line of `scripts/torture`."""

from __future__ import annotations

import argparse
import json
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any, Final

from scripts.benchmark.roster import ROOT, environment
from scripts.ending import end_in_order
from scripts.torturing.kinds import KINDS
from scripts.torturing.tally import Tally

DESCRIPTION: Final = """
Break a real gmhealth consume in every way there is, and check that every promise is kept. Each lane has servers of its
own. The seed decides kinds, order and moments of the faults, by messages on the wire; how many events come in between
depends on the clock as well. Exit code 6: a promise was broken.
"""
FOUND: Final = 6
SAY_EVERY_S: Final = 60.0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="scripts/torture", description=DESCRIPTION)
    parser.add_argument(
        "--faults", type=int, default=100, metavar="N", help="in all lanes together; default %(default)s"
    )
    parser.add_argument("--lanes", type=int, default=4, metavar="N", help="at once; default %(default)s")
    parser.add_argument(
        "--seed", type=int, default=secrets.randbelow(10**6), metavar="N", help="all decisions come from it"
    )
    parser.add_argument(
        "--kind",
        action="append",
        choices=[kind.name for kind in KINDS],
        metavar="KIND",
        help="only this kind of fault, as the table names it; may be repeated; default all",
    )
    parser.add_argument(
        "--keep", type=_unused, metavar="DIR", help="where evidence is kept; default a directory in /var/tmp"
    )
    return parser.parse_args(arguments)


def _unused(text: str) -> Path:
    directory = Path(text).absolute()  # lanes run elsewhere
    if any(directory.glob("lane-*")):
        raise argparse.ArgumentTypeError(f"{directory} has the evidence of another run: name another, or remove it")
    return directory


class Lanes:
    """The lanes of a run, each a process; what they print comes through `lines`."""

    def __init__(self, options: argparse.Namespace, directory: Path) -> None:
        self.lines: Queue[tuple[int, dict[str, Any] | None]] = Queue()
        self.processes = [self._start(lane, options, directory) for lane in range(options.lanes)]

    def _start(self, lane: int, options: argparse.Namespace, directory: Path) -> subprocess.Popen[str]:
        faults = options.faults // options.lanes + (lane < options.faults % options.lanes)
        plan = {"seed": options.seed, "lane": lane, "faults": faults}
        kinds = options.kind or []
        orders = json.dumps({"plan": plan, "kinds": kinds, "directory": str(directory / f"lane-{lane}")})
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "scripts.torturing.lane_process", orders],
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a Ctrl-C is for us, to end them in order
        )
        Thread(target=self._listen, args=(lane, process), daemon=True).start()
        return process

    def _listen(self, lane: int, process: subprocess.Popen[str]) -> None:
        for line in process.stdout or ():
            self.lines.put((lane, json.loads(line)))
        self.lines.put((lane, None))

    def end(self) -> list[int]:
        """End those that run, and wait for all; how each of them ended."""
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        return [process.wait() for process in self.processes]


@contextmanager
def place(options: argparse.Namespace) -> Iterator[Path]:
    """Give a directory on a disk, so that fsync costs what it costs; the servers' data go at the end."""
    directory = options.keep or Path(tempfile.mkdtemp(prefix="gmhealth-torture-", dir="/var/tmp"))
    try:
        yield directory
    finally:
        for servers in directory.glob("lane-*/servers"):
            shutil.rmtree(servers, ignore_errors=True)


def follow(lanes: Lanes, tally: Tally) -> None:
    """Count what the lanes print until the last one is done."""
    running, last = len(lanes.processes), time.monotonic()
    while running:
        lane, line = lanes.lines.get()
        if line is None:
            running -= 1
        else:
            tally.add(lane, line)
        if time.monotonic() - last > SAY_EVERY_S:
            last = time.monotonic()
            print(f"{time.strftime('%H:%M:%S')}  {tally.summary()}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str]) -> int:
    """Torture and print; 6 if a promise was broken, 1 if the harness itself failed, 130 if interrupted."""
    options = parse(arguments)
    print(f"seed {options.seed}, {options.lanes} lanes, {options.faults:,} faults", flush=True)
    tally, interrupted = Tally(), False
    with place(options) as directory:
        lanes = Lanes(options, directory)
        try:
            follow(lanes, tally)
        except KeyboardInterrupt:
            interrupted = True
        ended = lanes.end()
        print(f"\n{tally.table()}")
        for violation in tally.shown_violations():
            print(f"\n{violation}")
        died = 0 if interrupted else sum(map(bool, ended))
        if died:
            print(f"\n{died} of {options.lanes} lanes died before they were done; their own words are above")
        if tally.violations or died:
            words = ["--seed", options.seed, "--lanes", options.lanes, "--faults", options.faults]
            words += [word for kind in options.kind or () for word in ("--kind", kind)]
            again = shlex.join(["scripts/torture", *map(str, words)])
            print(f"\nevidence: {directory}\nagain: {again}")
        elif not options.keep:
            shutil.rmtree(directory, ignore_errors=True)
    if tally.violations:
        return FOUND
    return 130 if interrupted else int(died > 0)


if __name__ == "__main__":
    end_in_order()
    sys.exit(main(sys.argv[1:]))
