"""The command line of `scripts/failure-modes`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.benchmark.failures.scenarios import SCENARIOS
from scripts.benchmark.failures.subjects import Subject, faststream, gmhealth, plain_loop
from scripts.benchmark.failures.trial import GAMES, Verdict, trial
from scripts.benchmark.faststream.environment import NotInstalled
from scripts.benchmark.machine import machine
from scripts.benchmark.report import aligned
from scripts.benchmark.rounds import say
from scripts.benchmark.site import servers
from scripts.benchmark.workload import Workload
from scripts.ending import end_in_order


def subjects() -> list[Subject]:
    """List who can be tried here, gmhealth last."""
    found = [plain_loop()]
    try:
        found += faststream()
    except NotInstalled as error:
        print(f"failure-modes: FastStream {error}", file=sys.stderr)
    return [*found, gmhealth()]


def main(arguments: Sequence[str]) -> int:
    """Try everybody with everything, and print what happened; 1 if gmhealth lost anything."""
    parser = argparse.ArgumentParser(
        prog="scripts/failure-modes", description="Show what consumers do when things go wrong."
    )
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, metavar="SCENARIO", help=f"of: {'; '.join(SCENARIOS)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table there, too")
    options = parser.parse_args(arguments)
    tried = subjects()
    rows: list[tuple[str, ...]] = []
    ours: list[Verdict] = []
    with servers() as running, running.site(Workload(0, GAMES + 1)) as site:
        here = machine(running)
        print(here, end="\n\n", flush=True)
        for name in options.only or SCENARIOS:
            verdicts: list[Verdict] = []
            for subject in tried:
                say(f"{name}: {subject.title}")
                with trial(subject, site) as under_trial:
                    verdicts.append(SCENARIOS[name](under_trial))
            rows.append((name, *(verdict.text for verdict in verdicts)))
            ours.append(verdicts[-1])
    say("")
    head = ("what happens", *(subject.title for subject in tried))
    print("\n".join(aligned([head, *rows])))
    if options.json:
        found = {"machine": here, "head": head, "rows": rows}
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return 0 if all(verdict.fine for verdict in ours) else 1


if __name__ == "__main__":
    end_in_order()
    sys.exit(main(sys.argv[1:]))
