"""`gmhealth consume`: the daemon."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from gmhealth.cli.globals import program, settings_of
from gmhealth.cli.signals import stop_on_signals

if TYPE_CHECKING:
    from gmhealth.bootstrap import Parts, Servers
    from gmhealth.embedded import EmbeddedServers
    from gmhealth.observability.lag_watch import Unread
    from gmhealth.observability.liveness import Liveness
    from gmhealth.settings import Settings
    from gmhealth.worker.events import Observer
    from gmhealth.worker.ports import Stop


def consume(
    ctx: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="Stop at the end of the stream as it is now.")] = False,
    batch_size: Annotated[int | None, typer.Option(help="Most entries in one batch; default 10000.")] = None,
    metrics_addr: Annotated[
        str | None,
        typer.Option(
            help="Serve /metrics, /healthz and /readyz there; on the loopback if no HOST is given.",
            metavar="[HOST:]PORT",
        ),
    ] = None,
) -> None:
    """Consume health events: keep the rows current and send snapshots.

    - `gmhealth --embedded consume`
    - `gmhealth consume --once --batch-size 500`
    - `gmhealth consume --metrics-addr 9464`

    Goes on after the saved offset. SIGTERM or Ctrl-C ends it after the batch in flight; a second one at once. While
    another `gmhealth consume` is at work this one stands by and takes over when that one ends; with `--once` it
    refuses instead (exit 4), as it does while consumers are paused.
    """
    from gmhealth import bootstrap
    from gmhealth.worker.job import Job

    settings = settings_of(ctx, batch_size=batch_size, metrics_addr=metrics_addr)
    with stop_on_signals() as asked, bootstrap.servers(settings, os.environ) as where:
        _announce(where, settings.health_stream)
        with bootstrap.connected(settings, where, "consume") as parts, _observed(settings, where, asked) as watched:
            observe, stop = watched
            until = parts.stream.state().last_generated if once else None
            job = Job(until=until, batch_size=settings.batch_size)
            worker = bootstrap.worker(parts, job, observe)
            worker.run(stop)
            if once and not worker.done:
                raise KeyboardInterrupt  # a script that goes on after it must not take the stream for drained


@contextmanager
def _observed(settings: Settings, where: Servers, asked: Stop) -> Iterator[tuple[Observer, Stop]]:
    """Have the log, the service manager and, if they are asked for, the metrics see what the worker does."""
    from gmhealth.observability import together
    from gmhealth.observability.event_log import log_event
    from gmhealth.observability.liveness import Liveness
    from gmhealth.observability.systemd import AnnouncedStop, Manager, Service

    liveness, manager = Liveness(), Manager(os.environ)
    service = Service(manager, liveness)
    try:
        with _metrics(settings, where, liveness) as metrics:
            # The liveness first: the others say what it has made of a report.
            told = [service] if manager.listens else []
            yield together(liveness, log_event, *told, *metrics), AnnouncedStop(asked, service.stopping)
    finally:
        manager.close()


@contextmanager
def _metrics(settings: Settings, where: Servers, liveness: Liveness) -> Iterator[list[Observer]]:
    """Serve the metrics, over connections of their own; nothing of it is loaded unless it is asked for."""
    if settings.metrics_addr is None:
        yield []
        return
    from gmhealth import bootstrap
    from gmhealth.observability.lag_watch import LagWatch
    from gmhealth.observability.listener import listening
    from gmhealth.observability.logs import log
    from gmhealth.observability.metrics import Metrics

    with bootstrap.connected(settings, where, "metrics") as parts:
        lag = LagWatch(lambda: _unread(parts), lambda: liveness.ready)
        metrics = Metrics(lag)
        with listening(settings.metrics_addr, metrics.registry, liveness) as url:
            log(logging.INFO, "serving metrics", url=url)
            yield [metrics]


def _unread(parts: Parts) -> Unread:
    from gmhealth.observability.lag_watch import Unread
    from gmhealth.operations.position import standing

    try:
        found = standing(parts)
    finally:
        parts.let_go()  # until the next scrape, which may be a minute, servers and proxies end what idles
    return Unread(found.saved.entry_id, found.lag.entries or 0, found.lag.seconds)


def _announce(where: Servers, stream: str) -> None:
    from gmhealth.adapters.postgres import address as postgres_address
    from gmhealth.adapters.redis import address as redis_address
    from gmhealth.observability.logs import log

    redis = redis_address.describe(where.redis_url, where.sentinels)
    postgres = postgres_address.describe(where.postgres_dsn)
    if where.embedded is not None:
        typer.echo(_embedded(where.embedded), err=True)
    if where.embedded is not None or sys.stderr.isatty():
        typer.echo(f"consuming {stream} on Redis {redis} into PostgreSQL {postgres}; Ctrl-C ends it", err=True)
    else:  # nobody reads it as it comes, and each line is to be of one form
        log(logging.INFO, "starting", stream=stream, redis=redis, postgres=postgres)


def _embedded(servers: EmbeddedServers) -> str:
    simulate = f"{program()} --embedded simulate container_oom --game-id game-andromeda --wait"
    return (
        f"{'started' if servers.started else 'joined'} {servers.redis_version} and {servers.postgres_version}\n"
        f"their data stays in {servers.directory}\n"
        f"simulate an event from a second terminal: {simulate}"
    )
