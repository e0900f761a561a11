"""Who is tried, and how each one's position in the stream is reset by an operator."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from scripts.benchmark.faststream.environment import python
from scripts.benchmark.roster import LOOP, command
from scripts.benchmark.site import Site
from scripts.benchmark.task import GROUP, HEALTH_STREAM, OFFSET_KEY

RECLAIM_MS: Final = 2_000
"""Of FastStream's "short" ones: a wave takes a tenth of it, and what is still being worked on must not be taken."""


def reset_offset(site: Site) -> None:
    """Start again at the beginning, as an operator does with a plain key."""
    site.redis.set(OFFSET_KEY, "0-0")


def reset_group(site: Site) -> None:
    """Start again at the beginning, as an operator does with a consumer group."""
    site.redis.xgroup_setid(HEALTH_STREAM, GROUP, "0")


@dataclass(frozen=True, slots=True)
class Subject:
    """A consumer as it is run in earnest. `reset` None: there is nothing that could be reset."""

    title: str
    line: Callable[[Site], list[str]]
    settings: Callable[[Site], Mapping[str, str]] = field(default=lambda _site: {})
    reset: Callable[[Site], None] | None = reset_offset


def plain_loop() -> Subject:
    """Try the loop of the decision record."""
    return Subject("one-event-at-a-time loop", lambda site: command(LOOP, site.endless_task()))


def faststream() -> list[Subject]:
    """Try FastStream without a consumer group, with one, and with one that reclaims; raises `NotInstalled`."""
    group = {"BENCH_GROUP": GROUP}
    return [
        _faststream("no group", {}, reset=None),
        _faststream("consumer group", group, reset_group),
        _faststream("group that reclaims", group | {"BENCH_RECLAIM_MS": str(RECLAIM_MS)}, reset_group),
    ]


def _faststream(variety: str, settings: Mapping[str, str], reset: Callable[[Site], None] | None) -> Subject:
    line = [str(python()), "-P", "-m", "faststream", "run", "scripts.benchmark.faststream.app:app"]
    return Subject(
        f"FastStream, {variety}",
        lambda _site: line,
        lambda site: {"BENCH_REDIS_URL": site.redis_url, "BENCH_POSTGRES_DSN": site.postgres_dsn, **settings},
        reset,
    )


def gmhealth() -> Subject:
    """Try `gmhealth consume`."""
    line = [sys.executable, "-P", "-m", "gmhealth", "consume"]
    return Subject("gmhealth", lambda _site: line, lambda site: site.settings)
