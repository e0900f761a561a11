"""How long one event takes from append to visible snapshot while the consumer is idle."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from statistics import quantiles
from typing import Any

from scripts.benchmark.lines import Goal, Line, Skipped, at_most, quotient
from scripts.benchmark.roster import BARE, GMHEALTH, LOOP, Contestant, Failed, command, environment
from scripts.benchmark.rounds import say
from scripts.benchmark.scale import Scale
from scripts.benchmark.site import Servers, Site
from scripts.benchmark.task import HEALTH_STREAM, LOBBY_STREAM
from scripts.benchmark.verify import Differs
from scripts.benchmark.workload import FIRST_MS, Event, Workload, game_name
from scripts.oracle import SUMMARIES

KINDS = ("probe_failed", "container_exited", "inspect_unhealthy", "probe_recovered")
"""One after the other: every event changes the summary, so every event sends a snapshot."""
GAMES = 101
"""Coprime to the number of kinds: each game sees one kind after the other."""
WARM_UP = 50
PAUSE_S = (0.003, 0.008)
START_S = 20.0


def quick(servers: Servers, scale: Scale) -> Iterator[Line | Skipped]:
    """Compare with the loop (issue 2)."""
    yield from _compare(servers, scale, {LOOP: (at_most(1), None)})


def full(servers: Servers, scale: Scale) -> Iterator[Line | Skipped]:
    """Compare with the loop and the bare loop (issue 4)."""
    yield from _compare(servers, scale, {BARE: (at_most(1.25), at_most(2)), LOOP: (at_most(1), None)})


def _compare(
    servers: Servers, scale: Scale, rivals: dict[Contestant, tuple[Goal | None, Goal | None]]
) -> Iterator[Line]:
    contestants = [GMHEALTH, *rivals]
    found: list[list[list[float]]] = [[] for _ in contestants]
    with servers.site(Workload(0, max(scale.games, GAMES))) as site:
        for at in range(scale.rounds):
            for contestant, rounds in zip(contestants, found, strict=True):
                say(f"latency, round {at + 1} of {scale.rounds}: {contestant.title}")
                rounds.append(_percentiles(site, contestant, scale.probes))
    say("")
    for place, percentile in enumerate(("p50", "p99")):
        section = f"idle latency, {percentile}"
        ours, *theirs = (tuple(values[place] for values in rounds) for rounds in found)
        yield Line(section, GMHEALTH.title, "ms", ours)
        for (contestant, goals), values in zip(rivals.items(), theirs, strict=True):
            yield Line(section, contestant.title, "ms", values, quotient(ours, values), goals[place])


def _percentiles(site: Site, contestant: Contestant, probes: int) -> list[float]:
    site.redis.delete(HEALTH_STREAM)
    site.reset()
    with _running(contestant, site) as process:
        prober = Prober(site)
        prober.wait_for_start(process)
        for _ in range(min(WARM_UP, probes)):
            prober.probe()
        cut = quantiles([prober.probe() * 1000 for _ in range(probes)], n=100)
    return [cut[49], cut[98]]


@contextmanager
def _running(contestant: Contestant, site: Site) -> Iterator[subprocess.Popen[str]]:
    line = command(contestant, site.endless_task())
    with subprocess.Popen(line, env=environment(), stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


class Prober:
    """Appends an event and waits for its snapshot, both sent at once, so that its own part is one round trip."""

    def __init__(self, site: Site) -> None:
        self._site, self._count, self._last, self._random = site, 0, "0-0", Random(1)

    def wait_for_start(self, process: subprocess.Popen[str]) -> None:
        """Send events until the consumer answers one."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            self._send(block_ms=200)
            if self._site.redis.xlen(LOBBY_STREAM):
                time.sleep(0.5)  # until everything that was sent meanwhile is answered
                ((self._last, _),) = self._site.redis.xrevrange(LOBBY_STREAM, count=1)
                return
            if process.poll() is not None:
                raise Failed(f"the consumer ended with {process.returncode}:\n{process.communicate()[1][-2000:]}")
        raise Failed(f"the consumer sent no snapshot within {START_S:g} s")

    def probe(self) -> float:
        """Send one event and give the seconds until its snapshot was there."""
        time.sleep(self._random.uniform(*PAUSE_S))
        event, began, reply = self._send(block_ms=10_000)
        took = time.perf_counter() - began
        entries = reply[0][1] if reply else []
        expected = {b"game_id": event.game_id.encode(), b"engine_health_summary": SUMMARIES[event.event_type].encode()}
        if len(entries) != 1 or not expected.items() <= entries[0][1].items():
            raise Differs(f"{event} was answered by {entries}")
        self._last = entries[0][0]
        return took

    def _send(self, block_ms: int) -> tuple[Event, float, Any]:
        self._count += 1
        kind = KINDS[self._count % len(KINDS)]
        event = Event(game_name(self._count % GAMES), kind, FIRST_MS + self._count, "e993cc011cdd")
        pipeline = self._site.redis.pipeline(transaction=False)
        pipeline.execute_command("XADD", HEALTH_STREAM, "*", *event.fields())
        pipeline.xread({LOBBY_STREAM: self._last}, block=block_ms)
        began = time.perf_counter()
        return event, began, pipeline.execute()[1]
