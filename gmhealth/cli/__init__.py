"""The command line: one module per command, each parsing, calling and showing. What is slow loads inside commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gmhealth import __version__
from gmhealth.cli import consume, dead_letter, doctor, inspect, offset, replay, schema, simulate, status
from gmhealth.cli.boundary import Commands
from gmhealth.cli.globals import Globals
from gmhealth.cli.types import LogFormat, LogLevel

ON_CALL, DAEMON, DEVELOPERS, DEAD_LETTERS = "On call", "Daemon", "Developers", "Dead letters"

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # a traceback's locals hold passwords
    rich_markup_mode="markdown",  # the one in which paragraphs take the full width
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"gmhealth {__version__}")
        raise typer.Exit


@app.callback()
def gmhealth(
    ctx: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(help="Settings file (TOML).", metavar="FILE", envvar="GMHEALTH_CONFIG", dir_okay=False),
    ] = None,
    embedded: Annotated[
        bool | None,
        typer.Option(
            "--embedded", help="Start or join the embedded servers; also GMHEALTH_EMBEDDED=1.", show_default=False
        ),
    ] = None,
    log_level: Annotated[LogLevel | None, typer.Option(help="Least level to log; default info.")] = None,
    log_format: Annotated[LogFormat | None, typer.Option(help="Form of log lines; default auto.")] = None,
    _version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Keep Game Master's view of engine health current.

    - `gmhealth --embedded consume`
    - `gmhealth status`

    With --embedded it brings its own servers. Otherwise GMHEALTH_REDIS_URL and GMHEALTH_POSTGRES_DSN say where they
    are. Precedence: option, environment (GMHEALTH_*), credentials directory, settings file, default.

    Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 not found, 4 refused by a safety check,
    5 a dependency cannot be reached, 6 a check found a problem, 130 interrupted.
    """
    ctx.obj = Globals(config, {"embedded": embedded, "log_level": log_level, "log_format": log_format})


app.command(rich_help_panel=ON_CALL)(status.status)
app.command(rich_help_panel=ON_CALL)(inspect.inspect)
app.command(rich_help_panel=ON_CALL)(replay.replay)
app.add_typer(offset.app, name="offset", rich_help_panel=ON_CALL)
app.command(rich_help_panel=ON_CALL)(doctor.doctor)
app.command(rich_help_panel=DAEMON)(consume.consume)
app.command(rich_help_panel=DEVELOPERS)(simulate.simulate)
app.command(rich_help_panel=DEVELOPERS)(schema.schema)
app.add_typer(dead_letter.app, name="dead-letter", rich_help_panel=DEAD_LETTERS)
