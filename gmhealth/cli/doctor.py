"""`gmhealth doctor`: everything `consume` needs, looked at without touching anything."""

from __future__ import annotations

from typing import Any

import typer

from gmhealth.cli.render import Output, OutputOption, facts, say, show, styled
from gmhealth.cli.session import session

PROBLEM = 6


def doctor(ctx: typer.Context, output: OutputOption = Output.TABLE) -> None:
    """Check servers, permissions, schema, offset and clocks; one line each, a hint under each failure.

        gmhealth doctor

        gmhealth doctor -o json

    Changes nothing. Exit code 6 if a check fails; warnings do not fail.
    """
    with session(ctx, "doctor") as opened:
        from gmhealth.cli.checks import run_checks
        from gmhealth.cli.views import DoctorView

        view = DoctorView(target=opened.target, checks=list(run_checks(opened)))
        target = view.target
        where = [
            ("Redis", f"{target.redis}, stream {target.stream}"),
            ("PostgreSQL", f"{target.postgres}, {target.table}"),
        ]
        show(view, output, facts("gmhealth doctor", where), *(part for check in view.checks for part in _lines(check)))
        failed = sum(check.result == "fail" for check in view.checks)
        if failed:
            say(f"{failed} of {len(view.checks)} checks failed")
            raise typer.Exit(PROBLEM)


def _lines(check: Any) -> list[Any]:
    from rich.text import Text

    mark = {"ok": "ok", "warning": "warning", "fail": "fail"}[check.result]
    line = Text.assemble(styled(mark), " " * (9 - len(mark)), styled(check.name), ": ", styled(check.found))
    return [line, styled(f"         → {check.hint}")] if check.hint else [line]
