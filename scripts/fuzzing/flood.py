"""What a flood of invalid entries costs the valid ones: of times within one run only the ratio means something."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from statistics import median
from threading import Event
from time import perf_counter
from typing import Final

from gmhealth import bootstrap
from gmhealth.core.entry import EntryId
from gmhealth.settings import load_settings
from gmhealth.worker.job import Job
from scripts.fuzzing import oracle
from scripts.fuzzing.entries import Fields, mutated, noise, valid
from scripts.fuzzing.path import Site

ROUNDS: Final = 5


def flood(site: Site, count: int, invalid_per_valid: int, seed: int) -> tuple[float, float, float]:
    """Drain `count` valid entries alone and among invalid ones, in turn; seconds of both, and the ratio of them."""
    random = Random(seed)
    alone = [valid(random) for _ in range(count)]
    mixed = [each for entry in alone for each in (entry, *(_invalid(random) for _ in range(invalid_per_valid)))]
    times = [(_drain(site, alone, random), _drain(site, mixed, random)) for _ in range(ROUNDS)]
    without, among = median(pair[0] for pair in times), median(pair[1] for pair in times)
    return without, among, without / among


def _invalid(random: Random) -> Fields:
    while True:
        fields = random.choice((mutated, noise))(random)
        if oracle.event(fields) is None:
            return fields


def _drain(site: Site, entries: Sequence[Fields], random: Random) -> float:
    site.reset(random)
    last = EntryId.parse(site.append(entries)[-1])
    environ = {name: value for name, value in site.environ().items() if name.startswith("GMHEALTH_")}
    settings = load_settings(environ, {}, None)
    servers = bootstrap.Servers(site.servers.redis_url, site.servers.postgres_dsn)
    with bootstrap.connected(settings, servers, "fuzz") as parts:
        worker = bootstrap.worker(parts, Job(until=last), lambda _: None)
        began = perf_counter()
        worker.run(Event())
        return perf_counter() - began
