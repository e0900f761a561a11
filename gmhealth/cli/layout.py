"""Titles, facts and tables as lines that fit a width; what each piece means decides its style.

Nothing is cut and nothing runs over the edge: what does not fit beside folds below, and on a terminal too narrow for
that a row becomes a list of names and values. Written here because importing Rich for it takes longer than a look.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple, Protocol

from gmhealth.cli.folding import cells, fold
from gmhealth.core.text import safe

GAP: Final = 2
LONGEST_VALUE: Final = 240
LONGEST_COMMAND: Final = 100_000
WIDEST_COLUMN: Final = 40
STYLES: Final = {
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
    "skipped": "yellow",
    "probe_failed": "yellow",
    "inspect_unhealthy": "yellow",
    "conflict": "yellow",
    "swapped": "bold",
}


class Span(NamedTuple):
    """A piece of harmless text in one style, by Rich's names for styles."""

    text: str
    style: str = ""


Line = list[Span]


class Part(Protocol):
    """A part of what a command shows."""

    def lines(self, width: int) -> Iterator[Line]:
        """Lay it out in lines of at most `width` cells."""


def styled(value: object, limit: int = LONGEST_VALUE) -> Span:
    """`value` made harmless, with the style of what it says."""
    if isinstance(value, Span):
        return value
    text = safe(value, limit)
    return Span(text, STYLES.get(text, ""))


class Prose(NamedTuple):
    """A paragraph; its second and later lines are indented."""

    text: str
    indent: int = 0

    def lines(self, width: int) -> Iterator[Line]:
        """Lay it out."""
        space = " " * self.indent
        for line in fold(safe(self.text), max(1, width - self.indent)):
            yield [Span(space + line)]


class Verbatim(NamedTuple):
    """A line that ends with a command to paste: only the terminal may break it."""

    text: str

    def lines(self, width: int) -> Iterator[Line]:  # noqa: ARG002
        """Lay it out, whatever the width."""
        yield [Span(safe(self.text, LONGEST_COMMAND))]


class Facts(NamedTuple):
    """A title, and names and values under each other."""

    title: str
    pairs: Sequence[tuple[str, object]]
    limit: int = LONGEST_VALUE

    def lines(self, width: int) -> Iterator[Line]:
        """Lay it out."""
        yield from _title(self.title, width)
        yield from _pairs([(safe(name, 80), styled(value, self.limit)) for name, value in self.pairs], width)


class Grid(NamedTuple):
    """A title and a table. Columns that don't fit beside the others go to a second line, indented."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]

    def lines(self, width: int) -> Iterator[Line]:
        """Lay it out."""
        yield []
        yield from _title(self.title, width)
        rows = [[styled(value) for value in row] for row in self.rows]
        widths = [
            max([cells(name), *(min(cells(row[index].text), max(WIDEST_COLUMN, width // 2)) for row in rows)])
            for index, name in enumerate(self.columns)
        ]
        cuts = _cuts(widths, width)
        if len(cuts) > 2:
            for row in rows:
                yield []
                yield from _pairs(list(zip(self.columns, row, strict=True)), width)
            return
        yield from _row([Span(name, "dim") for name in self.columns], widths, cuts, width)
        for row in rows:
            yield from _row(row, widths, cuts, width)


def _title(text: str, width: int) -> Iterator[Line]:
    for line in fold(safe(text, LONGEST_VALUE), width):
        yield [Span(line, "bold")]


def _pairs(pairs: Sequence[tuple[str, Span]], width: int) -> Iterator[Line]:
    """Names in one column, values folded in another; below each other where there is no room for that."""
    column = max((cells(name) for name, _ in pairs), default=0)
    room = width - column - GAP
    for name, value in pairs:
        if room >= 16 or room >= cells(value.text):
            label = name + " " * (column - cells(name) + GAP)
            for line in fold(value.text, room):
                yield [Span(label, "dim"), Span(line, value.style)]
                label = " " * (column + GAP)
        else:
            yield from ([Span(line, "dim")] for line in fold(name, width))
            yield from ([Span("  " + line, value.style)] for line in fold(value.text, max(1, width - 2)))


def _cuts(widths: Sequence[int], width: int) -> list[range]:
    """Which columns go to which line. The last one of a line may be narrower than its widest value: it folds."""
    lines: list[range] = []
    start = used = 0
    for index, size in enumerate(widths):
        indent = 2 * GAP if lines else 0
        if index > start and indent + used + size > width:
            lines.append(range(start, index))
            start, used = index, 0
        used += size + GAP
    return [*lines, range(start, len(widths))]


def _row(row: Sequence[Span], widths: Sequence[int], cuts: Sequence[range], width: int) -> Iterator[Line]:
    for number, columns in enumerate(cuts):
        indent = 2 * GAP * number
        if number and not any(row[index].text for index in columns):
            continue
        yield from _cut([row[index] for index in columns], [widths[index] for index in columns], indent, width)


def _cut(row: Sequence[Span], widths: Sequence[int], indent: int, width: int) -> Iterator[Line]:
    """One line of a row, or several where values fold."""
    room = width - indent - sum(widths[:-1]) - GAP * (len(widths) - 1)
    sizes = [*widths[:-1], max(1, room)]
    folded = [fold(value.text, size) for value, size in zip(row, sizes, strict=True)]
    for height in range(max(len(lines) for lines in folded)):
        line = [Span(" " * indent)] if indent else []
        for value, lines, size in zip(row, folded, sizes, strict=True):
            text = lines[height] if height < len(lines) else ""
            line += [Span(text, value.style), Span(" " * (size - cells(text) + GAP))]
        yield line[:-1]


def plain(parts: Iterable[Part | str], width: int) -> Iterator[Line]:
    """All lines of `parts`; a string is a line that may be pasted."""
    for part in parts:
        yield from map(_stripped, (Verbatim(part) if isinstance(part, str) else part).lines(width))


def _stripped(line: Line) -> Line:
    """Without the spaces that only fill up."""
    while line and not line[-1].text.rstrip(" "):
        line.pop()
    return [*line[:-1], line[-1]._replace(text=line[-1].text.rstrip(" "))] if line else line
