"""The table, as Markdown that also reads well on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from scripts.benchmark.lines import Line, Skipped

HEAD = ("what", "contestant", "unit", "median", "min to max", "gmhealth / this", "goal", "met")


def table(lines: Sequence[Line | Skipped]) -> str:
    """Format `lines`, with their notes below."""
    rows = [HEAD, *(_row(line) for line in lines)]
    notes = dict.fromkeys(line.note for line in lines if isinstance(line, Line) and line.note)
    return "\n".join([*aligned(rows), *("", *(f"- {note}" for note in notes))]).rstrip()


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Format a Markdown table; the first row is its head."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    padded = ([cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows)
    shown = [f"| {' | '.join(cells)} |" for cells in padded]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return [shown[0], rule, *shown[1:]]


def number(value: float) -> str:
    """Write a number with three significant digits, or whole."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _row(line: Line | Skipped) -> tuple[str, ...]:
    if isinstance(line, Skipped):
        return line.section, line.contestant, "", "skipped", line.reason, "", "", ""
    return (
        line.section,
        line.contestant,
        line.unit,
        number(line.median),
        f"{number(min(line.values))} to {number(max(line.values))}",
        "" if line.ratio is None else f"{line.ratio:.3g}",
        "" if line.goal is None else str(line.goal),
        {None: "", True: "yes", False: "NO"}[line.met],
    )
