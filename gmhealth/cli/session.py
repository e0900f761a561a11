"""What every command but `consume` starts with: settings, servers, connected parts and what they are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from gmhealth.cli.globals import settings_of
from gmhealth.errors import Refused

if TYPE_CHECKING:
    from gmhealth.bootstrap import Parts, Servers
    from gmhealth.cli.views import TargetView
    from gmhealth.settings import Settings


@dataclass(frozen=True, slots=True)
class Session:
    """A command's hands on the servers."""

    settings: Settings
    servers: Servers
    parts: Parts

    @property
    def target(self) -> TargetView:
        """What is looked at, to be shown; never a secret."""
        from gmhealth.adapters import postgres_connection, redis_connection
        from gmhealth.cli.views import TargetView

        return TargetView(
            redis=redis_connection.describe(self.servers.redis_url),
            stream=self.settings.health_stream,
            offset_key=self.parts.keys.offset,
            postgres=postgres_connection.describe(self.servers.postgres_dsn),
            table=self.settings.postgres_table,
        )


@contextmanager
def session(ctx: typer.Context, role: str, **options: Any) -> Iterator[Session]:
    """Open what a command works with, and close it at the end."""
    from gmhealth import bootstrap

    settings = settings_of(ctx, **options)
    with bootstrap.servers(settings, os.environ) as where, bootstrap.connected(settings, where, role) as parts:
        yield Session(settings, where, parts)


def confirm(question: str, *, yes: bool) -> None:
    """Ask on a terminal; elsewhere only `--yes` is an answer. Raises `Refused` (nothing was changed)."""
    from gmhealth.cli.render import interactive

    if yes:
        return
    if not interactive():
        raise Refused("this needs a confirmation, and there is no terminal to ask on", hint="add --yes to go ahead")
    if not typer.confirm(question, default=False, err=True):
        raise Refused("not confirmed; nothing was changed")
