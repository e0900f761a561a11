"""`gmhealth offset`: look at the saved offset, and move it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from gmhealth.cli import offset_reset
from gmhealth.cli.render import Part, show
from gmhealth.cli.session import session
from gmhealth.cli.tables import Facts
from gmhealth.cli.types import Output, OutputOption

if TYPE_CHECKING:
    from gmhealth.operations.models import EntryView, OffsetView
    from gmhealth.operations.session import Session

app = typer.Typer(no_args_is_help=True)


@app.callback()
def offset() -> None:
    """Look at the saved offset, and move it.

    - `gmhealth offset show`
    - `gmhealth offset reset --ago 15m --dry-run`

    The offset is the ID of the last entry whose effects are durable; `gmhealth consume` goes on after it.
    """


@app.command("show")
def show_offset(ctx: typer.Context, output: OutputOption = Output.TABLE) -> None:
    """Show the saved offset against the stream, the lag, and who consumes.

    - `gmhealth offset show`
    - `gmhealth offset show -o json`

    The lag in seconds is the age of the oldest unread entry. A long lag in entries is an estimate, and says so, while
    the consumer does not know how many it has read, as after a reset.
    """
    with session(ctx, "offset-show") as opened:
        from gmhealth.operations.position import position

        view = position(opened)
        show(view, output, *_parts(opened, view))


app.command("reset")(offset_reset.reset)


def _parts(opened: Session, view: OffsetView) -> Iterator[Part]:
    from gmhealth.operations.discontinuities import break_text
    from gmhealth.operations.leader import consumer_text
    from gmhealth.operations.position import lag_text

    move = opened.command("offset", "reset", "--help")
    pairs = [
        ("Redis", view.target.redis),
        ("stream", view.target.stream),
        ("key", view.target.offset_key),
        ("offset", _place(view.offset) if view.offset else "none saved: consume starts at the beginning"),
        ("first entry", _place(view.first)),
        ("last entry", _place(view.last)),
        ("length", f"{view.length:,} entries"),
        ("lag", lag_text(view.lag)),
        ("gap", view.gap.text if view.gap else "none"),
        ("last break", break_text(view.last_break, time.time())),
        ("consumer", consumer_text(view.consumer, view.replay)),
        ("last commit by", view.last_commit_by or "-"),
        ("last reset", _reset(view.last_reset)),
    ]
    yield Facts("Offset", pairs)
    yield f"next: {move}" if view.consumer else f"next: {opened.command('consume')}"


def _place(entry: EntryView | None) -> str:
    from gmhealth.operations.times import utc_and_local

    return "-" if entry is None else f"{entry.id}   {utc_and_local(entry.time)}"


def _reset(line: dict[str, str] | None) -> str:
    if line is None:
        return "never"
    from gmhealth.core.text import number
    from gmhealth.operations.times import from_ms, utc_and_local

    at = number(line.get("at_ms", ""))
    when = "" if at is None else f" at {utc_and_local(from_ms(at))}"
    reason = f": {line['reason']}" if line.get("reason") else ""
    return f"{line.get('old') or 'none'} -> {line.get('new')} by {line.get('by')}{when}{reason}"
