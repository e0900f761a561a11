"""`gmhealth inspect`: one game, whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gmhealth.cli import completion
from gmhealth.cli.render import Part, say, show
from gmhealth.cli.session import session
from gmhealth.cli.tables import Facts, Grid
from gmhealth.cli.types import Output, OutputOption, parse_game_id

if TYPE_CHECKING:
    from gmhealth.operations.inspect import History
    from gmhealth.operations.models import EventView, InspectView, SnapshotView
    from gmhealth.operations.session import Session


def inspect(
    ctx: typer.Context,
    game_id: Annotated[
        str,
        typer.Argument(help="The game.", metavar="GAME_ID", parser=parse_game_id, autocompletion=completion.game_ids),
    ],
    events: Annotated[
        int, typer.Option("--events", "-n", min=1, help="So many of its latest events.", metavar="N")
    ] = 10,
    scan: Annotated[
        int, typer.Option(min=1, help="Look through so many entries for them, from the end.", metavar="N")
    ] = 20_000,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with its new events; Ctrl-C ends it.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show a game's row, its recent events and what each did or would do, and the last snapshot.

    - `gmhealth inspect game-andromeda`
    - `gmhealth inspect game-andromeda --events 50 --follow`

    What an event did is inferred from the snapshots that were sent. One that was debounced sent none, and the first one
    in sight may remain unknown.
    """
    with session(ctx, "inspect") as opened:
        from gmhealth.operations.inspect import inspected, load_history

        history = load_history(opened.parts, game_id, events, scan)
        view = inspected(opened, history, events)
        show(view, output, *_parts(opened, view))
        if follow:
            _follow(opened, history, output)


def _parts(opened: Session, view: InspectView) -> Iterator[Part]:
    from gmhealth.operations.times import utc_and_local

    row = view.row
    looked = "all" if view.scanned_all else "the last"
    pairs = [
        ("status", row.status),
        ("may become", ", ".join(view.may_follow) or "nothing: it ends here"),
        ("engine health", row.engine_health or "(never reported)"),
        ("turn", row.current_turn),
        ("updated", utc_and_local(row.updated_at)),
        ("last snapshot", _snapshot(view.last_snapshot)),
        ("looked through", f"{looked} {view.scanned:,} entries"),
        ("PostgreSQL", f"{view.target.postgres}, table {view.target.table}"),
        ("Redis", f"{view.target.redis}, stream {view.target.stream}"),
    ]
    yield Facts(row.game_id, pairs)
    if view.events:
        columns = ("occurred", "event", "outcome", "entry", "why")
        rows = [(each.occurred_at or "-", each.type, each.outcome, each.entry.id, each.why) for each in view.events]
        yield Grid("Events, oldest first", columns, rows, prose=True)
    yield f"next: {_next(opened, view)}"


def _snapshot(sent: SnapshotView | None) -> str:
    from gmhealth.operations.times import utc_and_local

    if sent is None:
        return "none in sight"
    told = f"{sent.runtime_status}, {sent.engine_health_summary}, turn {sent.current_turn}"
    return f"{told}; {sent.entry.id}, {utc_and_local(sent.entry.time)}"


def _next(opened: Session, view: InspectView) -> str:
    game_id = view.row.game_id
    if view.events:
        first = next((each for each in view.events if each.outcome == "skipped"), view.events[0])
        return opened.command("replay", "--from-id", first.entry.id, "--game-id", game_id, "--dry-run")
    if view.scanned_all:
        return f"{opened.command('status')}: the stream has no event of this game"
    return opened.command("inspect", game_id, "--scan", 10 * view.scanned)


def _follow(opened: Session, history: History, output: Output) -> None:
    """Print each new event and snapshot of the game as it comes, until interrupted."""
    from gmhealth.operations.inspect import watch

    say("waiting for new events; Ctrl-C ends it")
    for item in watch(opened.parts, history):
        typer.echo(item.as_json() if output is Output.JSON else _line(item))


def _line(item: Any) -> str:
    from gmhealth.core.text import safe
    from gmhealth.operations.models import SnapshotView
    from gmhealth.operations.times import clock

    if isinstance(item, SnapshotView):
        told = f"{item.runtime_status}, {item.engine_health_summary}, turn {item.current_turn}"
        return safe(f"{clock(item.entry.time)}  snapshot  {item.entry.id}  {told}")
    event: EventView = item
    return safe(f"{clock(event.occurred_at)}  event     {event.entry.id}  {event.type}")
