"""How long a command takes to start, against the least that its libraries allow."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

from scripts.benchmark.lines import Line, Skipped, at_most, quotient
from scripts.benchmark.roster import Failed, environment
from scripts.benchmark.rounds import say
from scripts.benchmark.scale import Scale
from scripts.benchmark.site import Servers
from scripts.benchmark.workload import Workload

GMHEALTH = ("-m", "gmhealth")
EMPTY_TYPER = ("-m", "scripts.benchmark.contestants.empty_typer")
DRIVERS = ("-c", "import redis, psycopg")


def startup(servers: Servers, scale: Scale) -> Iterator[Line | Skipped]:
    """Time whole processes."""
    yield from _compare(
        "gmhealth --help", (*GMHEALTH, "--help"), "empty Typer app, --help", (*EMPTY_TYPER, "--help"), scale, {}
    )
    title, offset_show = "gmhealth offset show", (*GMHEALTH, "offset", "show")
    if _run((*offset_show, "--help"), {}).returncode:
        yield Skipped("start", title, "there is no such command yet")
        return
    with servers.site(Workload(1, 1)) as site:
        yield from _compare(title, offset_show, "import redis, psycopg", DRIVERS, scale, site.settings)


def _compare(
    title: str, ours: Sequence[str], floor_title: str, floor: Sequence[str], scale: Scale, settings: dict[str, str]
) -> Iterator[Line]:
    times: tuple[list[float], list[float]] = ([], [])
    for at in range(scale.starts + 1):
        say(f"start {at} of {scale.starts}: {title}")
        for arguments, found in zip((ours, floor), times, strict=True):
            began = time.perf_counter()
            done = _run(arguments, settings)
            if done.returncode:
                raise Failed(f"{title}: ended with {done.returncode}:\n{done.stderr.decode()[-2000:]}")
            found.append((time.perf_counter() - began) * 1000)
    say("")
    mine, least = (tuple(found[1:]) for found in times)  # the first one compiles and fills caches
    yield Line("start", title, "ms", mine)
    yield Line("start", floor_title, "ms", least, quotient(mine, least), at_most(1.5))


def _run(arguments: Sequence[str], settings: dict[str, str]) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-P", *arguments], env=environment() | settings, capture_output=True, check=False
    )
