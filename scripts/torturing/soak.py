"""The command line of `scripts/soak`: hours of steady load with faults now and then; nothing may grow."""

from __future__ import annotations

import argparse
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import linear_regression
from threading import Event, Thread
from typing import Final, NamedTuple

from scripts.benchmark.report import aligned
from scripts.ending import end_in_order
from scripts.torturing.campaign import Campaign, Plan
from scripts.torturing.kinds import KINDS
from scripts.torturing.site import site
from scripts.torturing.tally import Tally, line_of

DESCRIPTION: Final = "Load one gmhealth consume steadily, with faults now and then; memory and open files stay flat."
FOUND: Final = 6
SAMPLE_S: Final = 5.0
LEAST_SAMPLES: Final = 6
"""Fewer say nothing about growth."""
WARM_UP: Final = 0.2
"""So much of the time, the first of it, is not judged: caches fill."""
GROWTH_KIB: Final = 2048
"""What the resident set may gain, by its slope, in the time that is judged."""
KINDS_OF_SOAK: Final = tuple(kind for kind in KINDS if kind.survived)
"""All that one and the same process survives."""


class Sample(NamedTuple):
    """One look at the consumer."""

    at: float
    kib: int
    files: int


def sample(pid: int, at: float) -> Sample | None:
    """Look at a process; None if it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
        files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except OSError:
        return None
    kib = next((int(line.split()[1]) for line in lines if line.startswith("VmRSS")), None)
    return None if kib is None else Sample(at, kib, files)


class Verdict(NamedTuple):
    """What the samples after the warm-up say."""

    growth_kib: float
    per_hour_kib: float
    files_before: int
    files_after: int

    @property
    def flat(self) -> bool:
        """Whether nothing grows."""
        return self.growth_kib < GROWTH_KIB and self.files_after <= self.files_before


def judge(samples: Sequence[Sample]) -> Verdict:
    """Fit a line through what is used after the warm-up; compare the most files of its first and last third."""
    judged = [one for one in samples if one.at >= WARM_UP * samples[-1].at]
    slope = linear_regression([one.at for one in judged], [float(one.kib) for one in judged]).slope
    third = max(1, len(judged) // 3)
    before, after = (max(one.files for one in part) for part in (judged[:third], judged[-third:]))
    return Verdict(slope * (judged[-1].at - judged[0].at), slope * 3600, before, after)


@contextmanager
def sampling(pid: Callable[[], int | None], samples: list[Sample]) -> Iterator[None]:
    """Look every few seconds; say so every minute."""
    over, began = Event(), time.monotonic()

    def look() -> None:
        while not over.wait(SAMPLE_S):
            found = sample(pid() or 0, time.monotonic() - began)
            if found is not None:
                samples.append(found)
                if len(samples) % int(60 / SAMPLE_S) == 1:
                    print(
                        f"{found.at / 60:5.1f} min  {found.kib / 1024:6.1f} MiB  {found.files} open files", flush=True
                    )

    thread = Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="scripts/soak", description=DESCRIPTION)
    parser.add_argument("--minutes", type=float, default=30, metavar="N", help="default %(default)s")
    parser.add_argument(
        "--calm", type=float, default=5, metavar="S", help="seconds between faults; default %(default)s"
    )
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), metavar="N", help="of the faults")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Soak and print; 6 if something grew or a promise was broken, 130 if interrupted."""
    options = parse(arguments)
    print(f"seed {options.seed}, {options.minutes:g} minutes", flush=True)
    directory = Path(tempfile.mkdtemp(prefix="gmhealth-soak-", dir="/var/tmp"))
    plan = Plan(options.seed, 0, 10**6, KINDS_OF_SOAK, run=(8, 12), calm_s=options.calm, seconds=options.minutes * 60)
    tally, samples, interrupted = Tally(), list[Sample](), False
    (directory / "evidence").mkdir()
    try:
        with site(directory / "servers") as servers:
            campaign = Campaign(plan, servers, directory / "evidence", lambda done: tally.add(0, line_of(done)))
            with sampling(lambda: campaign.lane.consumer.pid, samples):
                campaign.carry_out()
    except KeyboardInterrupt:
        interrupted = True
    finally:
        shutil.rmtree(directory / "servers", ignore_errors=True)
    return report(tally, samples, directory) or (130 if interrupted else 0)


def report(tally: Tally, samples: Sequence[Sample], directory: Path) -> int:
    """Print what was found; `FOUND` if that is not as it should be."""
    print(f"\n{tally.table()}\n")
    for violation in tally.shown_violations():
        print(f"{violation}\nevidence: {directory}\n")
    flat = _flat(samples)
    if tally.violations or not flat:
        return FOUND
    shutil.rmtree(directory, ignore_errors=True)
    return 0


def _flat(samples: Sequence[Sample]) -> bool:
    if len(samples) < LEAST_SAMPLES:
        print(f"not judged: {len(samples)} samples say nothing about growth")
        return True
    verdict = judge(samples)
    head = ("after the warm-up", "first", "last", "growth by its slope")
    after = [one for one in samples if one.at >= WARM_UP * samples[-1].at]
    growth = f"{verdict.growth_kib / 1024:+.2f} MiB ({verdict.per_hour_kib / 1024:+.2f} an hour)"
    memory = ("resident set", f"{after[0].kib / 1024:.1f} MiB", f"{after[-1].kib / 1024:.1f} MiB", growth)
    files = ("open files, most in a third", str(verdict.files_before), str(verdict.files_after), "")
    print("\n".join(aligned([head, memory, files])))
    print(f"\n{'flat' if verdict.flat else 'NOT FLAT'}: {len(samples)} samples in {samples[-1].at / 60:.1f} minutes")
    return verdict.flat


if __name__ == "__main__":
    end_in_order()
    sys.exit(main(sys.argv[1:]))
