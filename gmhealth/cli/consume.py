"""`gmhealth consume`: the daemon."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from gmhealth.cli.globals import program, settings_of
from gmhealth.cli.signals import stop_on_signals

if TYPE_CHECKING:
    from gmhealth.bootstrap import Servers
    from gmhealth.embedded import EmbeddedServers


def consume(
    ctx: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="Stop at the end of the stream as it is now.")] = False,
    batch_size: Annotated[int | None, typer.Option(help="Most entries in one batch; default 1000.")] = None,
) -> None:
    """Consume health events: keep the rows current and send snapshots.

        gmhealth --embedded consume

        gmhealth consume --once --batch-size 500

    Goes on after the saved offset. SIGTERM or Ctrl-C ends it after the batch in hand; a second one at once. While
    another `gmhealth consume` is at work this one stands by and takes over when that one ends; with `--once` it
    refuses instead (exit 4).
    """
    from gmhealth import bootstrap
    from gmhealth.observability.narrator import narrate
    from gmhealth.worker import Job

    settings = settings_of(ctx, batch_size=batch_size)
    with stop_on_signals() as stop, bootstrap.servers(settings, os.environ) as where:
        _announce(where, settings.health_stream)
        with bootstrap.connected(settings, where, "consume") as parts:
            until = parts.stream.state().last_generated if once else None
            bootstrap.worker(parts, Job(until=until, batch_size=settings.batch_size), narrate).run(stop)


def _announce(where: Servers, stream: str) -> None:
    from gmhealth.adapters import postgres_connection, redis_connection

    if where.embedded is not None:
        typer.echo(_embedded(where.embedded), err=True)
    typer.echo(
        f"consuming {stream} on Redis {redis_connection.describe(where.redis_url)}"
        f" into PostgreSQL {postgres_connection.describe(where.postgres_dsn)}; Ctrl-C ends it",
        err=True,
    )


def _embedded(servers: EmbeddedServers) -> str:
    simulate = f"{program()} --embedded simulate container_oom --game-id game-andromeda --wait"
    return (
        f"{'started' if servers.started else 'joined'} {servers.redis_version} and {servers.postgres_version}\n"
        f"their data stays in {servers.directory}\n"
        f"simulate an event from a second terminal: {simulate}"
    )
