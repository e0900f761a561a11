"""`gmhealth offset`: look at the saved offset, and move it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from gmhealth.cli import offset_reset
from gmhealth.cli.boundary import Commands
from gmhealth.cli.render import Output, OutputOption, facts, show
from gmhealth.cli.session import Session, session

if TYPE_CHECKING:
    from gmhealth.cli.views import EntryView, OffsetView

app = typer.Typer(cls=Commands, no_args_is_help=True, help="Look at the saved offset, and move it.")
app.command("reset")(offset_reset.reset)


@app.command("show")
def show_offset(ctx: typer.Context, output: OutputOption = Output.TABLE) -> None:
    """Show the saved offset against the stream, the lag, and who consumes.

    gmhealth offset show

    gmhealth offset show -o json
    """
    with session(ctx, "offset-show") as opened:
        view = _look(opened)
        show(view, output, *_table(view))


def _look(opened: Session) -> OffsetView:
    from gmhealth.cli.lag import entry_view, standing
    from gmhealth.cli.views import OffsetView

    parts = opened.parts
    found = standing(parts)
    last_reset = parts.reset.last()
    return OffsetView(
        target=opened.target,
        offset=None if found.saved.text is None else entry_view(found.saved.entry_id),
        first=entry_view(found.state.first),
        last=entry_view(found.state.last),
        length=found.state.length,
        lag=found.lag,
        gap=found.gap,
        consumer=parts.rows.holder(),
        last_commit_by=found.saved.mark,
        last_reset=dict(last_reset) if last_reset else None,
    )


def _table(view: OffsetView) -> list[Any]:
    from gmhealth.cli.times import span

    about = "" if view.lag.exact else "about "
    lag = f"{about}{view.lag.entries:,} entries; the oldest unread one is {span(view.lag.seconds)} old"
    pairs = [
        ("Redis", view.target.redis),
        ("stream", view.target.stream),
        ("key", view.target.offset_key),
        ("offset", _place(view.offset) if view.offset else "none saved: `consume` starts at the beginning"),
        ("first entry", _place(view.first)),
        ("last entry", _place(view.last)),
        ("length", f"{view.length:,} entries"),
        ("lag", lag if view.lag.entries else "none: everything was read"),
        ("gap", view.gap.text if view.gap else "none"),
        ("consumer", view.consumer or "none: nobody holds the writer's lock"),
        ("last commit by", view.last_commit_by or "-"),
        ("last reset", _reset(view.last_reset)),
        ("next", "move it: gmhealth offset reset --help" if view.consumer else "start it: gmhealth consume"),
    ]
    return [facts("Offset", pairs)]


def _place(entry: EntryView | None) -> str:
    from gmhealth.cli.times import utc_and_local

    return "-" if entry is None else f"{entry.id}   {utc_and_local(entry.time)}"


def _reset(line: dict[str, str] | None) -> str:
    if line is None:
        return "never"
    reason = f": {line['reason']}" if line.get("reason") else ""
    return f"{line.get('old') or 'none'} -> {line.get('new')} by {line.get('by')}{reason}"
