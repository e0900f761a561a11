"""What every command but `consume` starts with: settings, servers, connected parts and what they are."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from gmhealth.cli.globals import Globals, program, settings_of
from gmhealth.cli.safe import safe, shell_word
from gmhealth.errors import Refused

if TYPE_CHECKING:
    from gmhealth.bootstrap import Parts, Servers
    from gmhealth.cli.views import TargetView
    from gmhealth.settings import Settings


@dataclass(frozen=True, slots=True)
class Session:
    """A command's hands on the servers."""

    given: Globals
    settings: Settings
    servers: Servers
    parts: Parts

    @property
    def target(self) -> TargetView:
        """What is looked at, to be shown; never a secret."""
        from gmhealth.adapters.postgres import address as postgres_address
        from gmhealth.adapters.redis import address as redis_address
        from gmhealth.cli.views import TargetView

        return TargetView(
            redis=redis_address.describe(self.servers.redis_url, self.servers.sentinels),
            stream=self.settings.health_stream,
            offset_key=self.parts.keys.offset,
            postgres=postgres_address.describe(self.servers.postgres_dsn),
            table=self.settings.postgres_table,
        )

    def command(self, *words: object) -> str:
        """A command line to run next, on the same servers; it can be pasted, whatever the words hold."""
        return " ".join([program(), *map(shell_word, [*self.given.again(), *map(str, words)])])

    def let_go(self) -> None:
        """Close the connections, which the next command opens again: servers and proxies end what idles for long."""
        from gmhealth.adapters.redis.connection import hang_up

        self.parts.rows.close()
        hang_up(self.parts.redis)


@contextmanager
def session(ctx: typer.Context, role: str, **options: Any) -> Iterator[Session]:
    """Open what a command works with, and close it at the end."""
    from gmhealth import bootstrap

    settings = settings_of(ctx, **options)
    with bootstrap.servers(settings, os.environ) as where, bootstrap.connected(settings, where, role) as parts:
        yield Session(ctx.obj, settings, where, parts)


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
    opened.let_go()
    try:
        typer.echo(f"{safe(question)} [y/N] ", nl=False, err=True)
        answer = sys.stdin.readline()
    except KeyboardInterrupt:
        say("\nnothing was changed")
        raise
    if answer.strip().lower() not in ("y", "yes"):
        raise Refused("not confirmed; nothing was changed")
