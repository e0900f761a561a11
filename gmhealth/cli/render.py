"""Where results go: data to standard output, all talk to standard error. The only module that knows Rich.

Rich loads for what moves only, the live screen and the progress bar.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, Final

import typer

from gmhealth.cli.layout import Line, Part, plain
from gmhealth.cli.safe import safe_lines
from gmhealth.cli.types import Output

if TYPE_CHECKING:
    from rich.console import Console

UNLIMITED: Final = 100_000
"""Off a terminal a row is a line, whatever its length, so that lines can be searched."""
ANSI: Final = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "bold red": "1;31",
}


def show(view: Any, output: Output, *parts: Part | str) -> None:
    """Print `view` as JSON, or `parts`, which show the same, to a person."""
    if output is Output.JSON:
        typer.echo(view.as_json(indent=2))
    else:
        draw(sys.stdout, parts)


def tell(*parts: Part | str) -> None:
    """Show a person something that is not data."""
    draw(sys.stderr, parts)


def say(text: str) -> None:
    """Tell a person something that is not data, in a line."""
    typer.echo(safe_lines(text), err=True)


def draw(stream: IO[str], parts: Iterable[Part | str]) -> None:
    """Write `parts` as wide as the terminal, in colour if it has any."""
    coloured = has_colours(stream)
    for line in plain(parts, width_of(stream)):
        stream.write("".join(_ansi(*span) if coloured else span.text for span in line) + "\n")
    stream.flush()


def width_of(stream: IO[str]) -> int:
    """The width to fill; COLUMNS decides where it is set."""
    if stream.isatty() or os.environ.get("COLUMNS", "").isdigit():
        return max(20, shutil.get_terminal_size().columns)
    return UNLIMITED


def has_colours(stream: IO[str]) -> bool:
    """Whether `stream` is a terminal that can show colours and nobody minds (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _ansi(text: str, style: str) -> str:
    return f"\x1b[{ANSI[style]}m{text}\x1b[0m" if style and text else text


def animated(stream: IO[str]) -> bool:
    """Whether `stream` is a terminal on which something may move."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def interactive() -> bool:
    """Whether a person can be asked: both ends of the conversation are a terminal."""
    return sys.stdin.isatty() and sys.stderr.isatty()


@contextmanager
def live() -> Iterator[Callable[..., None]]:
    """A screen that is drawn again and again: call what this yields with the parts to show."""
    from rich.live import Live
    from rich.text import Text

    coloured = has_colours(sys.stdout)

    def text(line: Line) -> Text:
        return Text.assemble(*(line if coloured else (span.text for span in line)))

    def picture(parts: Iterable[Part | str]) -> Text:
        return Text("\n").join(text(line) for line in plain(parts, width_of(sys.stdout)))

    with Live(console=_console(sys.stdout), auto_refresh=False, screen=True) as screen:
        yield lambda *parts: screen.update(picture(parts), refresh=True)


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


def _console(stream: IO[str]) -> Console:
    from rich.console import Console

    return Console(file=stream, highlight=False, markup=False, emoji=False)
