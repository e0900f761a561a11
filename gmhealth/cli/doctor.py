"""`gmhealth doctor`: everything `consume` needs, looked at without touching anything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import typer

from gmhealth.cli.folding import fold
from gmhealth.cli.layout import Facts, Line, Part, Prose, Span, styled
from gmhealth.cli.render import say, show
from gmhealth.cli.session import session
from gmhealth.cli.types import Output, OutputOption

if TYPE_CHECKING:
    from gmhealth.cli.views.checkup import CheckView, DoctorView

PROBLEM: Final = 6
MARK_WIDTH: Final = 9


class Finding:
    """A check in a line, what it found folded under it, and its hint."""

    def __init__(self, check: CheckView) -> None:
        self._check = check

    def lines(self, width: int) -> Iterator[Line]:
        """Lay it out."""
        mark = styled(self._check.result)
        label: Span = mark._replace(text=mark.text.ljust(MARK_WIDTH))
        for line in fold(styled(f"{self._check.name}: {self._check.found}", 2000).text, max(20, width - MARK_WIDTH)):
            yield [label, Span(line)]
            label = Span(" " * MARK_WIDTH)
        if self._check.hint:
            yield from Prose(f"→ {self._check.hint}", MARK_WIDTH).lines(width)


def doctor(ctx: typer.Context, output: OutputOption = Output.TABLE) -> None:
    """Check servers, permissions, schema, offset and clocks; one line each, a hint under each failure.

    - `gmhealth doctor`
    - `gmhealth doctor -o json`

    Changes nothing. Exit code 6 if a check fails; warnings do not fail.
    """
    with session(ctx, "doctor") as opened:
        from gmhealth.cli.checks import run_checks
        from gmhealth.cli.views.checkup import DoctorView

        view = DoctorView(target=opened.target, checks=list(run_checks(opened)))
        show(view, output, *_parts(view))
        failed = sum(check.result == "fail" for check in view.checks)
        if failed:
            say(f"{failed} of {len(view.checks)} checks failed")
            raise typer.Exit(PROBLEM)


def _parts(view: DoctorView) -> Iterator[Part]:
    target = view.target
    yield Facts(
        "gmhealth doctor",
        [
            ("Redis", f"{target.redis}, stream {target.stream}"),
            ("PostgreSQL", f"{target.postgres}, table {target.table}"),
        ],
    )
    yield from map(Finding, view.checks)
