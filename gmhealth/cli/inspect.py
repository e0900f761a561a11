"""`gmhealth inspect`: one game, whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from gmhealth.cli import completion
from gmhealth.cli.render import Output, OutputOption, console, facts, grid, say, show
from gmhealth.cli.session import Session, session
from gmhealth.errors import NotFound

if TYPE_CHECKING:
    from gmhealth.cli.history import History
    from gmhealth.cli.views import EventView, InspectView


def inspect(
    ctx: typer.Context,
    game_id: Annotated[str, typer.Argument(help="The game.", autocompletion=completion.game_ids)],
    events: Annotated[int, typer.Option(min=1, help="So many of its latest events.")] = 10,
    scan: Annotated[int, typer.Option(min=1, help="Look through so many entries for them, from the end.")] = 20_000,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with its new events; Ctrl-C ends it.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show a game's row, its recent events and what each did or would do, and the last snapshot.

        gmhealth inspect game-andromeda

        gmhealth inspect game-andromeda --events 50 --follow

    The reason of an outcome is told from the snapshots that were sent; what was debounced sent none.
    """
    with session(ctx, "inspect") as opened:
        from gmhealth.cli.history import look_back

        history = look_back(opened.parts, game_id, events, scan)
        view = _view(opened, history)
        show(view, output, *_table(view))
        if follow:
            _follow(opened, history, output)


def _view(opened: Session, history: History) -> InspectView:
    from gmhealth.cli.views import InspectView, RowView
    from gmhealth.core.status import ALLOWED, Status

    game_id = history.game_id
    found = opened.parts.games.game(game_id)
    if found is None:
        seen = f"; the stream has {len(history.events)} recent events of it" if history.events else ""
        raise NotFound(
            f"there is no game {game_id!r} in {opened.target.table} of {opened.target.postgres}{seen}",
            hint="check the ID; Game Master makes the row when it registers the runtime",
        )
    row = found[0]
    follows = ALLOWED[Status(row.status)] if row.status in list(Status) else frozenset()
    return InspectView(
        target=opened.target,
        row=RowView(**row._asdict()),
        may_follow=sorted(follows),
        events=history.views(row),
        scanned=history.scanned,
        scanned_all=history.scanned_all,
        last_snapshot=history.last_snapshot,
    )


def _table(view: InspectView) -> list[Any]:
    from gmhealth.cli.render import styled
    from gmhealth.cli.times import clock, utc_and_local

    row, sent = view.row, view.last_snapshot
    looked = "all" if view.scanned_all else "the last"
    last = "none in sight" if sent is None else _snapshot(sent)
    pairs = [
        ("PostgreSQL", f"{view.target.postgres}, table {view.target.table}"),
        ("Redis", f"{view.target.redis}, stream {view.target.stream}"),
        ("status", styled(row.status)),
        ("may become", ", ".join(view.may_follow) or "nothing: it ends here"),
        ("engine health", styled(row.engine_health or "(never reported)")),
        ("turn", str(row.current_turn)),
        ("updated", utc_and_local(row.updated_at)),
        ("last snapshot", last),
        ("looked through", f"{looked} {view.scanned:,} entries"),
        ("next", _next(view)),
    ]
    parts: list[Any] = [facts(row.game_id, pairs)]
    if view.events:
        columns = ("occurred", "entry", "event", "outcome", "why")
        rows = [(clock(each.occurred_at), each.entry.id, each.type, each.outcome, each.why) for each in view.events]
        parts.append(grid("Events, oldest first", columns, rows))
    return parts


def _snapshot(sent: Any) -> str:
    return f"{sent.entry.id}: {sent.runtime_status}, {sent.engine_health_summary}, turn {sent.current_turn}"


def _next(view: InspectView) -> str:
    if view.events:
        return f"gmhealth replay --from-id {view.events[0].entry.id} --game-id {view.row.game_id} --dry-run"
    return f"gmhealth inspect {view.row.game_id} --scan {10 * view.scanned or 1000}"


def _follow(opened: Session, history: History, output: Output) -> None:
    """Print each new event and snapshot of the game as it comes, until interrupted."""
    from gmhealth.cli.history import watch

    say("waiting for new events; Ctrl-C ends it")
    for item in watch(opened.parts, history):
        if output is Output.JSON:
            typer.echo(item.model_dump_json(ensure_ascii=True))
        else:
            console().print(_line(item))


def _line(item: Any) -> Any:
    from gmhealth.cli.render import styled
    from gmhealth.cli.times import clock
    from gmhealth.cli.views import SnapshotView

    if isinstance(item, SnapshotView):
        return styled(f"{clock(item.entry.time)}  snapshot  {_snapshot(item)}")
    event: EventView = item
    return styled(f"{clock(event.occurred_at)}  event     {event.entry.id}: {event.type}")
