"""The real command, `gmhealth consume --once`, timed with its own start: Python, imports, connections."""

from __future__ import annotations

import subprocess
import sys
import time

from scripts.benchmark.roster import environment
from scripts.benchmark.task import report, task


def main() -> None:
    """Do the task."""
    job = task()
    settings = {"GMHEALTH_REDIS_URL": job.redis_url, "GMHEALTH_POSTGRES_DSN": job.postgres_dsn}
    line = [sys.executable, "-P", "-m", "gmhealth", "consume", "--once"]
    began = time.perf_counter()
    subprocess.run(line, env=environment() | settings, check=True)
    report(began)


if __name__ == "__main__":
    main()
