"""Titles, facts and tables that fit any width.

Rich as it comes cuts or squeezes what does not fit. Here names and IDs stay whole: a table's last column goes under its
row, then rows become lists, and text folds. Rich loads when something is drawn: the daemon draws nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from gmhealth.core.rules import EventType
from gmhealth.core.text import safe

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, ConsoleRenderable
    from rich.table import Table
    from rich.text import Text

UNLIMITED: Final = 100_000
"""Off a terminal a row is a line, whatever its length, so that lines can be searched."""
LONGEST_VALUE: Final = 240
GAP: Final = 2
LEAST_VALUE, LEAST_PROSE = 16, 30
"""A narrower column of text than this goes under its name, or under its row."""
_BY_COLOUR: Final = {
    "green": ("running", "healthy", "ok"),
    "yellow": (
        "probe_failed",
        "inspect_unhealthy",
        "behind",
        "stalled",
        "rewound",
        "warning",
        "skipped",
        "conflict",
        "refused",
    ),
    "red": ("oom", "exited", "disappeared"),
    "bold red": ("engine_unreachable", "stopped", "fail"),
    "bold": ("swapped",),
}
STYLES: Final = {word: style for style, words in _BY_COLOUR.items() for word in words}
STYLES.update({event.value: STYLES[event.summary] for event in EventType})
_WORDS: Final = re.compile(rf"(?:^|(?<=-> )|(?<=, ))(?:{'|'.join(STYLES)})(?=$|,| ->| \d)")


class Facts(NamedTuple):
    """A title, and names and values under each other."""

    title: str
    pairs: Sequence[tuple[str, object]]
    limit: int = LONGEST_VALUE

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[ConsoleRenderable]:
        """Lay it out."""
        yield plain(self.title, style="bold")
        yield from _facts([(name, styled(value, self.limit)) for name, value in self.pairs], console, options)


class Grid(NamedTuple):
    """A title and a table. With `prose` its last column is text, which folds."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    prose: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[ConsoleRenderable]:
        """Lay it out in the widest form that fits."""
        width = options.max_width
        rows, caption = self._cells(terminal=width < UNLIMITED)
        *names, last = [
            max([plain(name).cell_len, *(row[at].cell_len for row in rows)]) for at, name in enumerate(self.columns)
        ]
        used = sum(size + GAP for size in names)
        yield plain(self.title, style="bold")
        if used + (min(last, LEAST_PROSE) if self.prose else last) <= width:
            yield _table(self.columns, names, rows, boxed=width < UNLIMITED)
        elif used - GAP <= width:
            yield from self._under(names, rows)
        else:
            for row in rows:
                yield plain("")
                yield from _facts(list(zip(self.columns, row, strict=True)), console, options)
        if caption:
            yield plain(caption, style="dim")

    def _cells(self, *, terminal: bool) -> tuple[list[list[Text]], str]:
        """The values to show, and what is left out of all times."""
        times = [value for row in self.rows for value in row if isinstance(value, datetime)]
        short, caption = _short(times) if times and terminal else (_whole, "")
        texts = [[short(value) if isinstance(value, datetime) else value for value in row] for row in self.rows]
        kinds = [*[styled] * (len(self.columns) - 1), plain if self.prose else styled]
        return [[kind(value) for kind, value in zip(kinds, row, strict=True)] for row in texts], caption

    def _under(self, names: Sequence[int], rows: Sequence[Sequence[Text]]) -> Iterator[ConsoleRenderable]:
        """Each row's last value on lines of its own."""
        from rich.padding import Padding
        from rich.text import Text

        label = "" if self.prose else f"{self.columns[-1]}  "
        yield _table(self.columns[:-1], names, [], boxed=True)
        for row in rows:
            yield _table((), names, [row[:-1]], boxed=False)
            yield Padding.indent(Text.assemble((label, "dim"), row[-1], overflow="fold"), 2 * GAP)


def styled(value: object, limit: int = LONGEST_VALUE) -> Text:
    """`value` made harmless, its words in the colours of what they say."""
    text = plain(value, limit)
    for match in _WORDS.finditer(text.plain):
        text.stylize(STYLES[match[0]], *match.span())
    return text


def plain(value: object, limit: int = LONGEST_VALUE, style: str = "") -> Text:
    """`value` made harmless."""
    from rich.text import Text

    return Text(safe(value, limit), style, overflow="fold")


def _facts(pairs: Sequence[tuple[str, Text]], console: Console, options: ConsoleOptions) -> Iterator[ConsoleRenderable]:
    """Names in one column, values in another; a value goes under its name where a word of it would break."""
    from rich.measure import Measurement
    from rich.padding import Padding
    from rich.table import Table

    column = max((plain(name).cell_len for name, _ in pairs), default=0)
    for name, value in pairs:
        label = plain(name, style=STYLES.get(name, "dim"))
        least = max(Measurement.get(console, options, value).minimum, min(value.cell_len, LEAST_VALUE))
        if column + GAP + least <= options.max_width:
            line = Table.grid(padding=(0, GAP, 0, 0))
            line.add_column(width=column)
            line.add_column(overflow="fold")
            line.add_row(label, value)
            yield line
        else:
            yield label
            yield Padding.indent(value, GAP)


def _table(columns: Sequence[str], sizes: Sequence[int], rows: Sequence[Sequence[Text]], *, boxed: bool) -> Table:
    """A table whose first columns have these sizes; a last one beyond them gets what is left."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD if boxed else None, show_edge=False, pad_edge=False, header_style="dim")
    table.padding = (0, GAP - boxed, 0, 0)
    table.show_header = bool(columns)
    for at in range(max(len(columns), len(sizes))):
        width = sizes[at] if at < len(sizes) else None
        table.add_column(columns[at] if columns else "", width=width, no_wrap=width is not None, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _whole(time: datetime) -> str:
    from gmhealth.operations.times import clock

    return clock(time)


def _short(times: Sequence[datetime]) -> tuple[Callable[[datetime], str], str]:
    """How to show `times` where there is little room, and what that leaves out."""
    dates = {f"{time:%Y-%m-%d}" for time in times}
    if len(dates) == 1:
        return lambda time: f"{time:%H:%M:%S}.{time.microsecond // 1000:03d}", f"times are of {dates.pop()}, in UTC"
    return lambda time: f"{time:%Y-%m-%d %H:%M:%S}", "times are in UTC"
