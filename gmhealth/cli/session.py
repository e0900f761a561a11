"""What every command but `consume` starts with: a session, and asking before anything is changed."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from gmhealth.cli.globals import Globals, program, settings_of
from gmhealth.core.text import safe, shell_word
from gmhealth.errors import Refused

if TYPE_CHECKING:
    from gmhealth.bootstrap import Servers
    from gmhealth.operations.models import TargetView
    from gmhealth.operations.session import Session
    from gmhealth.settings import Settings


@contextmanager
def session(ctx: typer.Context, role: str, **options: Any) -> Iterator[Session]:
    """Open what a command works with, and close it at the end."""
    from gmhealth import bootstrap
    from gmhealth.cli.progress import progress
    from gmhealth.cli.render import say
    from gmhealth.operations.session import Session

    settings = settings_of(ctx, **options)
    given: Globals = ctx.obj
    with bootstrap.servers(settings, os.environ) as where, bootstrap.connected(settings, where, role) as parts:

        def command(*words: object) -> str:
            return " ".join([program(), *map(shell_word, [*given.again(), *map(str, words)])])

        yield Session(settings, where, parts, _target(settings, where), command, say, progress)


def _target(settings: Settings, where: Servers) -> TargetView:
    from gmhealth import bootstrap
    from gmhealth.adapters.postgres import address as postgres_address
    from gmhealth.adapters.redis import address as redis_address
    from gmhealth.operations.models import TargetView

    return TargetView(
        redis=redis_address.describe(where.redis_url, where.sentinels),
        stream=settings.health_stream,
        offset_key=bootstrap.ledger_keys(settings).offset,
        postgres=postgres_address.describe(where.postgres_dsn),
        table=settings.postgres_table,
    )


def confirm(opened: Session, question: str, *, yes: bool) -> None:
    """Ask on a terminal; elsewhere only `--yes` is an answer. Raises `Refused` (nothing was changed)."""
    from gmhealth.cli.render import interactive, say

    if yes:
        return
    if not interactive():
        raise Refused(
            "this needs a confirmation, and there is no terminal to ask on; nothing was changed",
            hint="add --yes to go ahead",
        )
    opened.parts.let_go()
    try:
        typer.echo(f"{safe(question)} [y/N] ", nl=False, err=True)
        answer = sys.stdin.readline()
    except KeyboardInterrupt:
        say("\nnothing was changed")
        raise
    if answer.strip().lower() not in ("y", "yes"):
        raise Refused("not confirmed; nothing was changed")
