"""`gmhealth status`: all on one screen."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gmhealth.cli.render import Part, animated, live, say, show
from gmhealth.cli.session import session
from gmhealth.cli.tables import Facts, Grid
from gmhealth.cli.types import Output, OutputOption
from gmhealth.core.lag_state import LagSample
from gmhealth.errors import Unavailable

if TYPE_CHECKING:
    from gmhealth.operations.models import StatusView
    from gmhealth.operations.session import Session

COUNTED: Final = 10_000
MOST_DETAIL: Final = 1_000
"""Characters of an error that a consumer leaves for this."""
IDLE_S: Final = 10.0
"""A connection that is not used for so long is not kept."""


def status(
    ctx: typer.Context,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Look again and again; Ctrl-C ends it.")] = False,
    interval: Annotated[float, typer.Option(min=0.2, max=86_400, help="Seconds between two.", metavar="S")] = 2.0,
    games: Annotated[
        int, typer.Option("--games", "-n", min=0, help="List so many games that are not healthy.", metavar="N")
    ] = 10,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show consumer, lag, rate, and the games that are not healthy.

    - `gmhealth status`
    - `gmhealth status --watch --interval 1`

    States: ok; behind (the oldest unread entry is older than 10 s); stopped (nobody consumes). What one look cannot
    tell --watch does: stalled (behind, and the offset does not move), rewound (it was set back). Off a terminal, and
    with -o json, --watch prints a line a look.
    """
    with session(ctx, "status") as opened:
        if not watch:
            from gmhealth.operations.status import status_or_who_waits

            view = status_or_who_waits(opened, games)
            show(view, output, *_parts(opened, view))
        elif output is Output.TABLE and animated(sys.stdout):
            _draw_on(opened, games, interval)
        else:
            _print_on(opened, games, interval, output)


def _draw_on(opened: Session, games: int, interval: float) -> None:
    """Draw the screen again and again. A server that is away for a while is what one watches for: it is shown."""
    from gmhealth.operations.status import status as look

    samples: list[LagSample] = []
    with live() as draw:
        while True:
            try:
                draw(*_parts(opened, look(opened, games, samples)))
            except Unavailable as error:
                draw(Facts("gmhealth", [("state", "unknown"), ("error", error), ("next", error.hint)]))
            _pause(opened, interval)


def _print_on(opened: Session, games: int, interval: float, output: Output) -> None:
    """Off a terminal: a line a look, without any animation."""
    from gmhealth.operations.status import status as look

    samples: list[LagSample] = []
    while True:
        try:
            view = look(opened, games, samples)
            typer.echo(view.as_json() if output is Output.JSON else _line(view))
        except Unavailable as error:
            say(str(error))
        _pause(opened, interval)


def _pause(opened: Session, interval: float) -> None:
    if interval >= IDLE_S:
        opened.parts.let_go()
    time.sleep(interval)


def _parts(opened: Session, view: StatusView) -> Iterator[Part]:
    from gmhealth.operations.dead_letters import dropped_text
    from gmhealth.operations.discontinuities import break_text
    from gmhealth.operations.leader import consumer_text, waiting_text
    from gmhealth.operations.position import lag_text
    from gmhealth.operations.times import ago

    dropped = f"; {dropped_text(view.dead_letters_dropped)}" if view.dead_letters_dropped else ""
    letters = f"{dropped}: {opened.command('dead-letter', 'list')}" if view.dead_letters else dropped
    pairs: list[tuple[str, object]] = [
        ("state", view.state),
        ("by status", _counts(view.by_status)),
        ("by health", _counts(view.by_summary)),
        ("consumer", consumer_text(view.consumer, view.replay)),
        ("waiting", waiting_text(view.waiting, view.looked_at)),
        *([("error", view.waiting.detail)] if view.waiting and view.waiting.detail else ()),
        ("offset", view.offset.id if view.offset else "none saved: consume starts at the beginning"),
        ("lag", lag_text(view.lag)),
        ("gap", view.gap.text if view.gap else "none"),
        ("last break", break_text(view.last_break, view.looked_at.timestamp())),
        ("coming in", _rate(view)),
        ("dead letters", f"{view.dead_letters:,}{letters}"),
        ("Redis", f"{view.target.redis}, stream {view.target.stream}"),
        ("PostgreSQL", f"{view.target.postgres}, table {view.target.table}"),
    ]
    yield Facts("gmhealth", pairs, MOST_DETAIL)
    if view.unhealthy_total:
        ages = [ago((view.looked_at - row.updated_at).total_seconds()) for row in view.unhealthy]
        rows = [
            (row.game_id, row.status, row.engine_health, age) for row, age in zip(view.unhealthy, ages, strict=True)
        ]
        shown = "" if view.unhealthy_total == len(rows) else f" ({len(rows)} of {view.unhealthy_total:,})"
        yield Grid(f"Not healthy{shown}", ("game", "status", "health", "updated"), rows)
    yield f"next: {_next(opened, view)}"


def _next(opened: Session, view: StatusView) -> str:
    """The most urgent thing to do: consuming first, then the games, then what is over and wants a look."""
    from gmhealth.operations.discontinuities import is_recent

    if view.state == "stopped" and not view.waiting:  # one that waits for PostgreSQL cannot hold the lock
        return opened.command("consume")
    if view.gap or view.waiting or view.state in {"behind", "stalled"}:
        return opened.command("doctor")
    if view.state == "rewound":
        return opened.command("offset", "show")
    if view.unhealthy:
        return opened.command("inspect", view.unhealthy[0].game_id)
    if view.unhealthy_total:  # none of them is listed, with --games 0
        return opened.command("status")
    if is_recent(view.last_break, view.looked_at.timestamp()):
        return opened.command("doctor")
    return opened.command("dead-letter", "list") if view.dead_letters else "nothing: all is well"


def _rate(view: StatusView) -> str:
    return f"{'' if view.events_per_minute_exact else 'more than '}{view.events_per_minute:,} events in the last minute"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "no games"


def _line(view: StatusView) -> str:
    from gmhealth.core.text import safe
    from gmhealth.operations.position import lag_text

    offset = view.offset.id if view.offset else "none"
    return safe(
        f"{view.state}  offset {offset}  lag {lag_text(view.lag)}  {_rate(view)}  not healthy {view.unhealthy_total:,}"
    )
