"""Where an error becomes two lines on standard error and an exit code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import typer
from typer.core import TyperGroup

from gmhealth.core.text import safe_lines
from gmhealth.errors import GmhealthError

INTERRUPTED: Final = 130


@contextmanager
def _usage_made_safe() -> Iterator[None]:
    """A usage error repeats what was given, which may be hostile."""
    try:
        yield
    except typer.TyperException as error:
        if isinstance(message := getattr(error, "message", None), str):
            error.message = safe_lines(message)
        raise


class Commands(TyperGroup):
    """The group of all commands; none of them catches `GmhealthError` for good."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Read the options before the command's name."""
        with _usage_made_safe():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; show what happened and what to do next if it fails."""
        try:
            with _usage_made_safe():
                return super().invoke(ctx)
        except GmhealthError as error:
            typer.echo(f"gmhealth: {safe_lines(str(error))}", err=True)
            if error.hint:
                typer.echo(f"  → {safe_lines(error.hint)}", err=True)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            typer.echo("interrupted", err=True)
            raise typer.Exit(INTERRUPTED) from None
