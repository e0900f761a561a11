"""Where an error becomes two lines on standard error and an exit code."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from gmhealth.errors import GmhealthError

INTERRUPTED = 130


class Commands(TyperGroup):
    """The group of all commands; none of them catches `GmhealthError` itself."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; show what happened and what to do next if it fails."""
        try:
            return super().invoke(ctx)
        except GmhealthError as error:
            typer.echo(f"gmhealth: {error}", err=True)
            if error.hint:
                typer.echo(f"  → {error.hint}", err=True)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
