"""Where results go: data to standard output, all talk to standard error."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, TypeAlias

import typer

from gmhealth.cli.tables import UNLIMITED, plain
from gmhealth.cli.types import Output
from gmhealth.core.text import safe_lines

if TYPE_CHECKING:
    from rich.console import Console, ConsoleRenderable
    from rich.text import Text

Part: TypeAlias = "ConsoleRenderable | str"
"""A part of what a command shows; a string is a line that ends with a command to paste."""


def show(view: Any, output: Output, *parts: Part) -> None:
    """Print `view` as JSON, or `parts`, which show the same, to a person."""
    if output is Output.JSON:
        typer.echo(view.as_json(indent=2))
    else:
        draw(sys.stdout, parts)


def tell(*parts: Part) -> None:
    """Show a person something that is not data."""
    draw(sys.stderr, parts)


def say(text: str) -> None:
    """Tell a person something that is not data, in a line."""
    typer.echo(safe_lines(text), err=True)


def draw(stream: IO[str], parts: Iterable[Part]) -> None:
    """Write `parts` as wide as the terminal, in colour if it has any. A command to paste is one line at any width."""
    from rich.console import Group

    console = _console(stream, width_of(stream))
    with console.capture() as captured:
        console.print(Group(*_spaced(parts)), crop=False)
    stream.write(re.sub(" +$", "", captured.get(), flags=re.MULTILINE))
    stream.flush()


def width_of(stream: IO[str]) -> int:
    """The width to fill; COLUMNS decides where it is set."""
    if stream.isatty() or os.environ.get("COLUMNS", "").isdigit():
        return max(20, shutil.get_terminal_size().columns)
    return UNLIMITED


def animated(stream: IO[str]) -> bool:
    """Whether `stream` is a terminal on which something may move."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def interactive() -> bool:
    """Whether a person can be asked: both ends of the conversation are a terminal."""
    return sys.stdin.isatty() and sys.stderr.isatty()


@contextmanager
def live() -> Iterator[Callable[..., None]]:
    """A screen that is drawn again and again: call what this yields with the parts to show."""
    from rich.console import Group
    from rich.live import Live

    with Live(console=_console(sys.stdout), auto_refresh=False, screen=True) as screen:
        yield lambda *parts: screen.update(Group(*_spaced(parts, fold=True)), refresh=True)


@contextmanager
def bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar with rate and time left on standard error; call what this yields with each number done."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    with Progress(*columns, TimeRemainingColumn(), console=_console(sys.stderr), transient=True) as progress:
        task = progress.add_task(what, total=total, rate="")

        def advance(entries: int) -> None:
            progress.advance(task, entries)
            speed = progress.tasks[0].speed
            progress.update(task, rate=f"{speed:,.0f}/s" if speed else "")

        yield advance


def _console(stream: IO[str], width: int | None = None) -> Console:
    """A console without any of Rich's readings of text; NO_COLOR takes all styles (no-color.org)."""
    from rich.console import Console

    return Console(
        file=stream,
        width=width,
        color_system=None if os.environ.get("NO_COLOR") else "auto",
        force_terminal=stream.isatty(),
        highlight=False,
        markup=False,
        emoji=False,
    )


def _spaced(parts: Iterable[Part], *, fold: bool = False) -> Iterator[ConsoleRenderable]:
    """`parts` with an empty line between those of several lines, and before what comes next."""
    for number, part in enumerate(parts):
        if number and (not isinstance(part, str) or part.startswith("next: ")):
            yield plain("")
        yield _pasted(part, fold=fold) if isinstance(part, str) else part


def _pasted(line: str, *, fold: bool) -> Text:
    text = plain(line, UNLIMITED)
    if not fold:
        text.no_wrap, text.overflow = True, "ignore"
    return text
