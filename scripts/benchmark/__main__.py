"""The command line of `scripts/bench`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from scripts.benchmark import latency, stages, throughput
from scripts.benchmark.idle import idle
from scripts.benchmark.lines import Line, Skipped
from scripts.benchmark.machine import machine
from scripts.benchmark.memory import memory
from scripts.benchmark.report import table
from scripts.benchmark.roster import Failed
from scripts.benchmark.scale import FULL, QUICK, Scale
from scripts.benchmark.site import Servers, servers
from scripts.benchmark.startup import startup
from scripts.benchmark.verify import Differs
from scripts.ending import end_in_order

DESCRIPTION: Final = "Measure gmhealth beside what one would use instead; every round's result is checked."

Section = Callable[[Servers, Scale], Iterator[Line | Skipped]]
Measured = tuple[list[Line | Skipped], list[str]]

SECTIONS: Final[Mapping[str, Section]] = {
    "drain": throughput.alternatives,
    "growth": throughput.growth,
    "distance": throughput.distance,
    "latency": latency.full,
    "memory": memory,
    "startup": startup,
    "idle": idle,
}
SIZES: Final = ("entries", "games", "rounds", "probes")
QUICK_SECTIONS: Final[Mapping[str, Section]] = {"drain": throughput.quick, "latency": latency.quick}


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=DESCRIPTION)
    parser.add_argument("--quick", action="store_true", help="within a minute: draining and latency, beside the loop")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, metavar="NAME", help=f"of {', '.join(SECTIONS)}")
    parser.add_argument("--profile", action="store_true", help="only what each stage costs per event")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round there, too")
    parser.add_argument("--whole", action="store_true", help="slow contestants drain the whole backlog, too")
    sizes = parser.add_argument_group("sizes other than those of the published table")
    for name in SIZES:
        sizes.add_argument(f"--{name}", type=int, metavar="N")
    sizes.add_argument("--batch-size", type=int, metavar="N", help="of gmhealth, with --profile only")
    return parser.parse_args(arguments)


def scale_of(options: argparse.Namespace) -> Scale:
    """Give the sizes that the options ask for."""
    scale = replace(QUICK if options.quick else FULL, whole=options.whole)
    given = {name: getattr(options, name) for name in SIZES}
    return replace(scale, **{name: value for name, value in given.items() if value is not None})


def measure(names: Sequence[str], available: Mapping[str, Section], running: Servers, scale: Scale) -> Measured:
    """Measure section by section; one that fails costs its own lines only, and an interrupt those still to come."""
    lines: list[Line | Skipped] = []
    failures: list[str] = []
    for name in names:
        try:
            lines.extend(available[name](running, scale))
        except (Differs, Failed) as error:
            failures.append(f"{name}: {error}")
        except KeyboardInterrupt:
            failures.append(f"{name}: interrupted; the table has what was measured before it")
            break
    return lines, failures


def main(arguments: Sequence[str]) -> int:
    """Measure and print; 1 if a contestant failed or did anything else than it had to."""
    options = parse(arguments)
    scale = scale_of(options)
    available = {**SECTIONS, **QUICK_SECTIONS} if options.quick else SECTIONS
    names = () if options.profile else options.only or (QUICK_SECTIONS if options.quick else SECTIONS)
    with servers() as running:
        here = machine(running)
        print(here, end="\n\n", flush=True)
        lines, failures = measure(list(names), available, running, scale)
        profile = stages.profile(running, scale, options.batch_size) if options.profile else None
    print(table(lines) if profile is None else stages.table(profile))
    for failure in failures:
        print(f"bench: {failure}", file=sys.stderr)
    if options.json:
        rounds = None if profile is None else [result.details for result in profile]
        found = {"machine": here, "lines": [line.as_json() for line in lines], "profile": rounds, "failures": failures}
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return 1 if failures else 0


if __name__ == "__main__":
    end_in_order()
    sys.exit(main(sys.argv[1:]))
