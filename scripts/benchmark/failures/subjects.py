"""Who is tried, and how each one's position in the stream is reset by an operator."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from scripts.benchmark.faststream.environment import python
from scripts.benchmark.roster import LOOP, command
from scripts.benchmark.site import Site
from scripts.benchmark.task import GROUP, HEALTH_STREAM, OFFSET_KEY


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


def _gmhealth_settings(site: Site) -> Mapping[str, str]:
    return {"GMHEALTH_REDIS_URL": site.redis_url, "GMHEALTH_POSTGRES_DSN": site.postgres_dsn}


def _faststream_settings(site: Site) -> Mapping[str, str]:
    return {"BENCH_REDIS_URL": site.redis_url, "BENCH_POSTGRES_DSN": site.postgres_dsn}


def plain_loop() -> Subject:
    """Try the loop of the decision record."""
    return Subject("one-event-at-a-time loop", lambda site: command(LOOP, site.endless_task()))


def faststream(group: str | None) -> Subject:
    """Try FastStream with or without a consumer group; raises `NotInstalled`."""
    line = [str(python()), "-P", "-m", "faststream", "run", "scripts.benchmark.faststream.app:app"]
    return Subject(
        "FastStream, consumer group" if group else "FastStream, no group",
        lambda _site: line,
        lambda site: {**_faststream_settings(site), **({"BENCH_GROUP": group} if group else {})},
        reset_group if group else None,
    )


def gmhealth() -> Subject:
    """Try `gmhealth consume`."""
    line = [sys.executable, "-P", "-m", "gmhealth", "consume"]
    return Subject("gmhealth", lambda _site: line, _gmhealth_settings)
