"""The smallest useful Typer app: nothing but two options."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def empty(
    first: Annotated[str, typer.Option(help="The first option.")] = "",
    second: Annotated[int, typer.Option(help="The second option.")] = 0,
) -> None:
    """Show both options."""
    typer.echo(f"{first} {second}")


if __name__ == "__main__":
    app()
