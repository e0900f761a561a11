"""`--profile`: what each stage of gmhealth's worker costs per event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Final

from scripts.benchmark.report import aligned
from scripts.benchmark.roster import Contestant, run
from scripts.benchmark.rounds import say
from scripts.benchmark.scale import Scale
from scripts.benchmark.site import Servers
from scripts.benchmark.task import Result
from scripts.benchmark.workload import Workload

STAGES: Final = ("read", "decode", "reduce", "write", "fold", "publish", "rest")
PROFILED: Final = Contestant("gmhealth with clocks", "scripts.benchmark.contestants.gmhealth_stages")


def profile(servers: Servers, scale: Scale, batch_size: int | None) -> list[Result]:
    """Drain with a clock around each stage."""
    results: list[Result] = []
    with servers.site(Workload(scale.entries, scale.games)) as site:
        for at in range(scale.rounds):
            say(f"profile, round {at + 1} of {scale.rounds}")
            site.reset()
            results.append(run(PROFILED, site.task(batch_size=batch_size)))
    say("")
    return results


def table(results: Sequence[Result]) -> str:
    """Format the medians of all rounds."""
    head = ("stage", "µs per event", "of it our CPU", "share", "alone")
    wall = _medians(results, "wall")
    total = sum(wall.values())
    cpu, alone = _medians(results, "cpu"), _medians(results, "alone")
    rows = [
        (stage, f"{wall[stage]:.2f}", _or_nothing(cpu, stage), f"{wall[stage] / total:.0%}", _or_nothing(alone, stage))
        for stage in STAGES
    ]
    rows.append(("all", f"{total:.2f}", f"{sum(cpu.values()):.2f}", "100%", f"{sum(alone.values()):.2f}"))
    details = results[0].details
    counts = (
        f"batches of {details['batch_size']:,}; {details['changes']:.2f} rows written"
        f" and {details['snapshots']:.2f} snapshots sent per event"
    )
    return "\n".join([*aligned([head, *rows]), "", counts, _floor(sum(cpu.values()), _medians(results, "servers"))])


def _floor(ours: float, servers: Mapping[str, float]) -> str:
    """Say what no order of work on two cores passes."""
    shares = ", ".join(f"{name} {each:.2f}" for name, each in servers.items())
    total = ours + sum(servers.values())
    return f"CPU per event: gmhealth {ours:.2f}, {shares}, {total:.2f} in all: at least {total / 2:.2f} µs on two cores"


def _medians(results: Sequence[Result], kind: str) -> dict[str, float]:
    found: list[Mapping[str, float]] = [result.details["per_entry"][kind] for result in results]
    return {stage: median(each[stage] for each in found) * 1e6 for stage in found[0]}


def _or_nothing(values: Mapping[str, float], stage: str) -> str:
    return f"{values[stage]:.2f}" if stage in values else ""
