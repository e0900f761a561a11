"""`gmhealth status`: all on one screen."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gmhealth.cli.render import Part, animated, live, say, show
from gmhealth.cli.session import Session, session
from gmhealth.cli.tables import Facts, Grid
from gmhealth.cli.types import Output, OutputOption
from gmhealth.core.health_state import Look, judge, recent
from gmhealth.errors import Unavailable

if TYPE_CHECKING:
    from gmhealth.cli.views.checkup import StatusView

COUNTED: Final = 10_000
IDLE_S: Final = 10.0
"""A connection that is not used for so long is not kept."""


def status(
    ctx: typer.Context,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Look again and again; Ctrl-C ends it.")] = False,
    interval: Annotated[float, typer.Option(min=0.2, max=86_400, help="Seconds between two looks.", metavar="S")] = 2.0,
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
            view = _look_or_say_who_waits(opened, games)
            show(view, output, *_parts(opened, view))
        elif output is Output.TABLE and animated(sys.stdout):
            _draw_on(opened, games, interval)
        else:
            _print_on(opened, games, interval, output)


def _look_or_say_who_waits(opened: Session, games: int) -> StatusView:
    """Look once; where a server does not answer, the other one may know whether the consumer waits for it, too."""
    try:
        return _look(opened, games, [])
    except Unavailable as error:
        from gmhealth.cli.waiting import waiting_as_well, waiting_text

        view = waiting_as_well(opened.parts, error)
        if view is not None:
            error.hint = f"the consumer waits {waiting_text(view, datetime.now(UTC))}"
        raise


def _draw_on(opened: Session, games: int, interval: float) -> None:
    """Draw the screen again and again. A server that is away for a while is what one watches for: it is shown."""
    looks: list[Look] = []
    with live() as draw:
        while True:
            try:
                draw(*_parts(opened, _look(opened, games, looks)))
            except Unavailable as error:
                draw(Facts("gmhealth", [("state", "unknown"), ("error", error), ("next", error.hint)]))
            _pause(opened, interval)


def _print_on(opened: Session, games: int, interval: float, output: Output) -> None:
    """Off a terminal: a line a look, without any animation."""
    looks: list[Look] = []
    while True:
        try:
            view = _look(opened, games, looks)
            typer.echo(view.as_json() if output is Output.JSON else _line(view))
        except Unavailable as error:
            say(str(error))
        _pause(opened, interval)


def _pause(opened: Session, interval: float) -> None:
    if interval >= IDLE_S:
        opened.let_go()
    time.sleep(interval)


def _look(opened: Session, games: int, looks: list[Look]) -> StatusView:
    """Look once more; `looks` are those before, and get this one."""
    from gmhealth.cli.holder import holder
    from gmhealth.cli.lag import entry_view, standing
    from gmhealth.cli.times import EPOCH, from_ms
    from gmhealth.cli.views.checkup import StatusView
    from gmhealth.cli.views.games import RowView
    from gmhealth.cli.waiting import waiting
    from gmhealth.core.entry import EntryId

    parts = opened.parts
    found, now_ms = standing(parts), parts.look.now_ms()
    minute_ago = EntryId(max(0, now_ms - 60_000), 0)
    per_minute = parts.look.count_after(opened.settings.health_stream, minute_ago, COUNTED)
    by_status, by_summary = Counter[str](), Counter[str]()
    with parts.games.held():
        counts = parts.games.counts()
        unhealthy, total = parts.games.unhealthy(games)
        try:
            held, waits = holder(parts), waiting(parts)
        finally:
            parts.rows.close()  # the next look may be further away than a session may idle
    for (status_name, summary), count in counts.items():
        by_status[status_name] += count
        by_summary[summary or "(never reported)"] += count
    looks.append(Look(time.monotonic(), found.saved.entry_id, found.lag.seconds, held.consumer is not None))
    looks[:] = recent(looks)
    return StatusView(
        target=opened.target,
        state=judge(looks).value,
        consumer=held.consumer,
        replay=held.replay,
        waiting=waits,
        offset=None if found.saved.is_first else entry_view(found.saved.entry_id),
        lag=found.lag,
        gap=found.gap,
        last_break=found.last_break,
        events_per_minute=per_minute,
        events_per_minute_exact=per_minute < COUNTED,
        dead_letters=parts.letters.count(),
        dead_letters_dropped=parts.letters.dropped(),
        by_status=_sorted(by_status),
        by_summary=_sorted(by_summary),
        unhealthy=[RowView(**row._asdict()) for row in unhealthy],
        unhealthy_total=total,
        looked_at=from_ms(now_ms) or EPOCH,
    )


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def _parts(opened: Session, view: StatusView) -> Iterator[Part]:
    from gmhealth.cli.breaks import break_text
    from gmhealth.cli.holder import consumer_text
    from gmhealth.cli.lag import lag_text
    from gmhealth.cli.letters import dropped_text
    from gmhealth.cli.times import ago
    from gmhealth.cli.waiting import waiting_text

    dropped = f"; {dropped_text(view.dead_letters_dropped)}" if view.dead_letters_dropped else ""
    letters = f"{dropped}: {opened.command('dead-letter', 'list')}" if view.dead_letters else dropped
    pairs: list[tuple[str, object]] = [
        ("state", view.state),
        ("by status", _counts(view.by_status)),
        ("by health", _counts(view.by_summary)),
        ("consumer", consumer_text(view.consumer, view.replay)),
        ("waiting", waiting_text(view.waiting, view.looked_at)),
        ("offset", view.offset.id if view.offset else "none saved: consume starts at the beginning"),
        ("lag", lag_text(view.lag)),
        ("gap", view.gap.text if view.gap else "none"),
        ("last break", break_text(view.last_break, view.looked_at.timestamp())),
        ("coming in", _rate(view)),
        ("dead letters", f"{view.dead_letters:,}{letters}"),
        ("Redis", f"{view.target.redis}, stream {view.target.stream}"),
        ("PostgreSQL", f"{view.target.postgres}, table {view.target.table}"),
    ]
    yield Facts("gmhealth", pairs)
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
    from gmhealth.cli.breaks import is_recent

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
    from gmhealth.cli.lag import lag_text
    from gmhealth.cli.safe import safe

    offset = view.offset.id if view.offset else "none"
    return safe(
        f"{view.state}  offset {offset}  lag {lag_text(view.lag)}  {_rate(view)}  not healthy {view.unhealthy_total:,}"
    )
