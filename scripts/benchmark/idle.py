"""What an idle consumer takes of a core."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from scripts.benchmark.lines import Line, Skipped, at_most
from scripts.benchmark.roster import Failed, environment
from scripts.benchmark.rounds import say
from scripts.benchmark.scale import Scale
from scripts.benchmark.site import Servers
from scripts.benchmark.workload import Workload

SETTLE_S = 3.0


def idle(servers: Servers, scale: Scale) -> Iterator[Line | Skipped]:
    """Let `gmhealth consume` idle on a stream that it has drained."""
    with servers.site(Workload(1_000, 1_000)) as site:
        line = [sys.executable, "-P", "-m", "gmhealth", "consume"]
        with subprocess.Popen(line, env=environment() | site.settings, stderr=subprocess.DEVNULL) as process:
            try:
                time.sleep(SETTLE_S)
                before = _cpu_s(process.pid)
                say(f"idling for {scale.idle_s:g} s")
                time.sleep(scale.idle_s)
                say("")
                if process.poll() is not None:
                    raise Failed(f"gmhealth consume ended with {process.returncode} while it should idle")
                share = (_cpu_s(process.pid) - before) / scale.idle_s * 100
            finally:
                process.kill()
    note = f"idle: CPU time over {scale.idle_s:g} s"
    yield Line("idle", "gmhealth consume", "% of a core", (share,), share, at_most(0.5), note)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
