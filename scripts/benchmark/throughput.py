"""Draining a backlog: against the alternatives, with more games and rows, and over a slow network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from scripts.benchmark.faststream.environment import NotInstalled, python
from scripts.benchmark.lines import Goal, Line, Skipped, at_least, quotient
from scripts.benchmark.proxy import delayed
from scripts.benchmark.roster import COMMAND, GMHEALTH, LOOP, READ_ONLY, READ_RAW, Contestant
from scripts.benchmark.rounds import Entrant, drain
from scripts.benchmark.scale import Scale
from scripts.benchmark.site import Servers
from scripts.benchmark.workload import Workload

Rivals = list[tuple[Contestant, Goal | None]]

FASTSTREAM = Contestant(
    "FastStream, per message", "scripts.benchmark.faststream.per_message", cap=20_000, keeps_offset=False
)
FASTSTREAM_BATCHED = Contestant("FastStream, batched", "scripts.benchmark.faststream.batched", keeps_offset=False)
FASTSTREAM_BY_HAND = Contestant(
    "FastStream, batched, own parser and script", "scripts.benchmark.faststream.batched_by_hand", keeps_offset=False
)


def quick(servers: Servers, scale: Scale) -> Iterator[Line | Skipped]:
    """Drain against the loop and the wall (issue 2)."""
    rivals: Rivals = [(LOOP, at_least(20)), (READ_ONLY, None)]
    yield from _compare(servers, scale, rivals)


def alternatives(servers: Servers, scale: Scale) -> Iterator[Line | Skipped]:
    """Drain against everything else one could use."""
    rivals: Rivals = [(LOOP, at_least(40)), (READ_ONLY, at_least(0.33)), (READ_RAW, None), (COMMAND, None)]
    try:
        own = str(python())
        rivals += [(replace(FASTSTREAM, python=own), at_least(40))]
        rivals += [(replace(FASTSTREAM_BATCHED, python=own), at_least(8))]
        rivals += [(replace(FASTSTREAM_BY_HAND, python=own), None)]
    except NotInstalled as error:
        yield Skipped("drain", "FastStream", str(error))
    yield from _compare(servers, scale, rivals)


def growth(servers: Servers, scale: Scale) -> Iterator[Line | Skipped]:
    """Drain with many games, and with a big table."""
    few = Workload(scale.entries, scale.games)
    many = Workload(scale.entries, scale.many_games)
    big = Workload(scale.entries, scale.games, scale.many_rows)
    with servers.site(few) as a, servers.site(many) as b, servers.site(big) as c:
        base, *others = drain([Entrant(GMHEALTH, site) for site in (a, b, c)], scale.rounds)
    yield Line("growth", f"gmhealth, {few}", "entries/s", tuple(base))
    for workload, rates in zip((many, big), others, strict=True):
        note = 'in "growth" the ratio is this line over the first one'
        ratio = quotient(rates, base)
        yield Line("growth", f"gmhealth, {workload}", "entries/s", tuple(rates), ratio, at_least(0.7), note)


def distance(servers: Servers, scale: Scale) -> Iterator[Line | Skipped]:
    """Drain through a proxy that adds a millisecond to every round trip."""
    with servers.site(Workload(scale.entries, scale.games)) as near, delayed(near, 0.001) as (far, measured_ms):
        loop = replace(LOOP, cap=scale.distant_entries)
        ours, theirs = drain([Entrant(GMHEALTH, far), Entrant(loop, far)], scale.rounds)
    section = "drain, 1 ms away"
    note = f"{section}: a round trip to Redis took {measured_ms:.2f} ms; {_capped(loop, scale)}"
    yield Line(section, GMHEALTH.title, "entries/s", tuple(ours))
    yield Line(section, loop.title, "entries/s", tuple(theirs), quotient(ours, theirs), at_least(100), note)


def _compare(servers: Servers, scale: Scale, rivals: Rivals) -> Iterator[Line]:
    """Drain one workload with gmhealth and `rivals`, in turn."""
    workload = Workload(scale.entries, scale.games)
    contestants = [GMHEALTH] + [
        replace(rival, cap=scale.slow_entries) if rival.cap and not scale.whole else replace(rival, cap=None)
        for rival, _ in rivals
    ]
    with servers.site(workload) as site:
        ours, *theirs = drain([Entrant(contestant, site) for contestant in contestants], scale.rounds)
    yield Line("drain", GMHEALTH.title, "entries/s", tuple(ours), note=f"drain: {workload}")
    for contestant, (_, goal), rates in zip(contestants[1:], rivals, theirs, strict=True):
        note = _capped(contestant, scale)
        yield Line("drain", contestant.title, "entries/s", tuple(rates), quotient(ours, rates), goal, note)


def _capped(contestant: Contestant, scale: Scale) -> str:
    if contestant.cap is None or contestant.cap >= scale.entries:
        return ""
    return f"{contestant.title}: drained {contestant.cap:,} of the {scale.entries:,} entries, its rate is extrapolated"
