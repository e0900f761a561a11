"""What gmhealth needs of memory: with the length of the backlog, and for each game that it remembers."""

from __future__ import annotations

from collections.abc import Iterator

from scripts.benchmark.lines import Line, Skipped, at_most
from scripts.benchmark.roster import GMHEALTH
from scripts.benchmark.rounds import Entrant, say
from scripts.benchmark.scale import Scale
from scripts.benchmark.site import Servers
from scripts.benchmark.workload import Workload


def memory(servers: Servers, scale: Scale) -> Iterator[Line | Skipped]:
    """Compare peaks of the resident set, each of a process of its own."""
    short = _peak_kib(servers, Workload(scale.few_entries, scale.games))
    long = _peak_kib(servers, Workload(scale.many_entries, scale.games))
    section = "peak memory"
    yield Line(section, f"gmhealth, {scale.few_entries:,} entries", "MiB", (short / 1024,))
    ratio, note = long / short, f'in "{section}" the ratio is this line over the first one'
    yield Line(section, f"gmhealth, {scale.many_entries:,} entries", "MiB", (long / 1024,), ratio, at_most(1.2), note)

    few = _peak_kib(servers, Workload(scale.entries, scale.games))
    many = _peak_kib(servers, Workload(scale.entries, scale.many_games))
    each = (many - few) * 1024 / (scale.many_games - scale.games)
    note = f"per remembered game: what the peak with {scale.many_games:,} games is above that with {scale.games:,}"
    yield Line("memory per remembered game", "gmhealth", "bytes", (each,), each, at_most(200), note)


def _peak_kib(servers: Servers, workload: Workload) -> int:
    say(f"memory: {workload}")
    with servers.site(workload) as site:
        peak = Entrant(GMHEALTH, site).play().peak_kib
    say("")
    return peak
