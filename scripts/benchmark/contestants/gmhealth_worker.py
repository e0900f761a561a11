"""gmhealth's own worker, put together as `gmhealth consume --once` does it; without `until`, as `consume`."""

from __future__ import annotations

import time
from threading import Event

import psycopg  # noqa: F401  # the drivers load before the clock starts, as everybody else's do
import redis  # noqa: F401

from gmhealth import bootstrap
from gmhealth.observability.event_log import log_event
from gmhealth.observability.logs import set_up
from gmhealth.settings import load_settings
from gmhealth.worker.job import Job
from scripts.benchmark.task import report, task


def main() -> None:
    """Do the task."""
    job = task()
    environ = {"GMHEALTH_REDIS_URL": job.redis_url, "GMHEALTH_POSTGRES_DSN": job.postgres_dsn}
    settings = load_settings(environ, {"batch_size": job.batch_size}, None)
    set_up(settings.log_level, settings.log_format, environ)
    began = time.perf_counter()
    with bootstrap.servers(settings, environ) as where, bootstrap.connected(settings, where, "consume") as parts:
        until = parts.stream.state().last_generated if job.until else None
        bootstrap.worker(parts, Job(until=until, batch_size=settings.batch_size), log_event).run(Event())
    report(began)


if __name__ == "__main__":
    main()
