"""A second active consumer, which takes another lock than the first: the fence alone guards them (I5, I6).

The product has no switch for that. Run as `python -m scripts.torturing.second`, with the settings of `consume`.
"""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial

from gmhealth import bootstrap
from gmhealth.adapters.postgres import connection as postgres_connection
from gmhealth.adapters.postgres.rows import PostgresRows
from gmhealth.cli.signals import stop_on_signals
from gmhealth.observability.event_log import log_event
from gmhealth.settings import load_settings
from gmhealth.worker.job import Job


def main() -> None:
    """Consume until a signal comes."""
    redis_url, dsn = (os.environ[f"GMHEALTH_{name}"] for name in ("REDIS_URL", "POSTGRES_DSN"))
    name = f"gmhealth second {os.uname().nodename[:30]}:{os.getpid()}"
    session = partial(postgres_connection.connect, dsn, password=None, application_name=name)
    with (
        stop_on_signals() as stop,
        bootstrap.connected(load_settings(os.environ, {}, None), bootstrap.Servers(redis_url, dsn), "second") as parts,
    ):
        rows = PostgresRows(session, table="runtime_records", lock_name="a lock of its own")
        try:
            bootstrap.worker(replace(parts, rows=rows), Job(batch_size=3), log_event).run(stop)
        finally:
            rows.close()


if __name__ == "__main__":
    main()
