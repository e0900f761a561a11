"""How results look: the only module that knows Rich. Data goes to standard output, all talk to standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gmhealth.cli.safe import safe

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.console import Console, RenderableType

PIPED_WIDTH: Final = 160
COLOURS: Final = {
    "running": "green",
    "healthy": "green",
    "ok": "green",
    "engine_unreachable": "bold red",
    "oom": "red",
    "exited": "red",
    "disappeared": "red",
    "fail": "bold red",
    "stopped": "bold red",
    "behind": "yellow",
    "warning": "yellow",
    "probe_failed": "yellow",
    "inspect_unhealthy": "yellow",
    "conflict": "yellow",
    "swapped": "bold",
}


class Output(StrEnum):
    """The form of a reading command's result."""

    TABLE = "table"
    JSON = "json"


OutputOption = Annotated[Output, typer.Option("--output", "-o", help="Form of the result.", show_choices=True)]


def console(*, to_stderr: bool = False) -> Console:
    """A console that knows its terminal; wide where there is none, so that lines can be searched."""
    from rich.console import Console

    stream = sys.stderr if to_stderr else sys.stdout
    width = None if stream.isatty() else PIPED_WIDTH
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False)


def show(view: BaseModel, output: Output, *parts: RenderableType | str) -> None:
    """Print `view` as JSON, or `parts`, which show the same, to a person."""
    if output is Output.JSON:
        typer.echo(view.model_dump_json(indent=2, ensure_ascii=True))
        return
    out = console()
    for part in parts:
        out.print(part)


def say(text: str) -> None:
    """Tell a person something that is not data."""
    typer.echo(text, err=True)


def styled(value: object) -> Any:
    """`value` as inert text, coloured by what it says."""
    from rich.text import Text

    text = safe(value, 120)
    return Text(text, style=COLOURS.get(text, ""))


def facts(title: str, pairs: Iterable[tuple[str, object]]) -> Any:
    """Names and values under each other."""
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=safe(title), title_justify="left", title_style="bold", box=None, show_header=False, pad_edge=False
    )
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in pairs:
        table.add_row(Text(name), value if isinstance(value, Text) else styled(value))
    return table


def grid(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Any:
    """A table; long values fold, so that nothing is cut and nothing runs over the edge."""
    from rich import box
    from rich.table import Table

    table = Table(title=safe(title), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(styled(value) for value in row))
    return table


@contextmanager
def live(refresh_s: float) -> Iterator[Any]:
    """A screen that is drawn again and again: call what this yields with the parts to show."""
    from rich.console import Group
    from rich.live import Live

    with Live(console=console(), auto_refresh=False, screen=True, refresh_per_second=1 / refresh_s) as screen:
        yield lambda *parts: screen.update(Group(*parts), refresh=True)


@contextmanager
def bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar with rate and time left on standard error; call what this yields with each number done."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    with Progress(*columns, TimeRemainingColumn(), console=console(to_stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=total, rate="")

        def advance(entries: int) -> None:
            progress.advance(task, entries)
            speed = progress.tasks[0].speed
            progress.update(task, rate=f"{speed:,.0f}/s" if speed else "")

        yield advance


def interactive() -> bool:
    """Whether a person can be asked: both ends of the conversation are a terminal."""
    return sys.stdin.isatty() and sys.stderr.isatty()
