"""`gmhealth doctor`: everything `consume` needs, looked at without touching anything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import typer

from gmhealth.cli.render import Part, say, show
from gmhealth.cli.session import session
from gmhealth.cli.tables import Facts
from gmhealth.cli.types import Output, OutputOption

if TYPE_CHECKING:
    from gmhealth.operations.models import CheckView, DoctorView

PROBLEM: Final = 6


def doctor(ctx: typer.Context, output: OutputOption = Output.TABLE) -> None:
    """Check servers, permissions, schema, offset and clocks; one line each, a hint under each failure.

    - `gmhealth doctor`
    - `gmhealth doctor -o json`

    Changes nothing. Exit code 6 if a check fails; warnings do not fail.
    """
    with session(ctx, "doctor") as opened:
        from gmhealth.operations.doctor import run_checks
        from gmhealth.operations.models import DoctorView

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
    yield Facts("Checks", [line for check in view.checks for line in _lines(check)], 2000)


def _lines(check: CheckView) -> Iterator[tuple[str, str]]:
    yield check.result, f"{check.name}: {check.found}"
    if check.hint:
        yield "", f"→ {check.hint}"
