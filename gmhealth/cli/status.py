"""`gmhealth status`: all on one screen."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gmhealth.cli.render import Output, OutputOption, console, facts, grid, live, show
from gmhealth.cli.session import Session, session

if TYPE_CHECKING:
    from gmhealth.cli.lag import Standing
    from gmhealth.cli.views import StatusView

BEHIND_AFTER_S: Final = 10.0
"""An unread entry older than this means that the consumer does not keep up."""
COUNTED: Final = 10_000


def status(
    ctx: typer.Context,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Look again and again; Ctrl-C ends it.")] = False,
    interval: Annotated[float, typer.Option(min=0.2, help="Seconds between two looks.")] = 2.0,
    games: Annotated[int, typer.Option(min=0, help="List so many games that are not healthy.")] = 10,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show consumer, lag, rate, and the games that are not healthy.

        gmhealth status

        gmhealth status --watch --interval 1

    States: ok; behind (the oldest unread entry is older than 10 s); stopped (nobody holds the writer's lock).
    """
    with session(ctx, "status") as opened:
        if not watch:
            view = _look(opened, games)
            show(view, output, *_table(view))
        elif console().is_terminal and output is Output.TABLE:
            with live(interval) as draw:
                while True:
                    draw(*_table(_look(opened, games)))
                    time.sleep(interval)
        else:
            _print_on(opened, games, interval, output)


def _print_on(opened: Session, games: int, interval: float, output: Output) -> None:
    """Off a terminal: a line a look, without any animation."""
    while True:
        view = _look(opened, games)
        typer.echo(view.model_dump_json(ensure_ascii=True) if output is Output.JSON else _line(view))
        time.sleep(interval)


def _look(opened: Session, games: int) -> StatusView:
    from gmhealth.cli.lag import entry_view, standing
    from gmhealth.cli.views import RowView, StatusView

    parts = opened.parts
    found, consumer = standing(parts), parts.rows.holder()
    per_minute = _last_minute(opened)
    by_status, by_summary = Counter[str](), Counter[str]()
    for (status_name, summary), count in parts.games.counts().items():
        by_status[status_name] += count
        by_summary[summary or "(never reported)"] += count
    unhealthy, total = parts.games.unhealthy(games)
    return StatusView(
        target=opened.target,
        state=_state(consumer, found),
        consumer=consumer,
        offset=None if found.saved.text is None else entry_view(found.saved.entry_id),
        lag=found.lag,
        gap=found.gap,
        events_per_minute=per_minute,
        events_per_minute_exact=per_minute < COUNTED,
        dead_letters=parts.letters.count(),
        by_status=dict(by_status.most_common()),
        by_summary=dict(by_summary.most_common()),
        unhealthy=[RowView(**row._asdict()) for row in unhealthy],
        unhealthy_total=total,
    )


def _last_minute(opened: Session) -> int:
    from gmhealth.core.entry import EntryId

    look = opened.parts.look
    return look.count_after(opened.settings.health_stream, EntryId(max(0, look.now_ms() - 60_000), 0), COUNTED)


def _state(consumer: str | None, found: Standing) -> str:
    if consumer is None:
        return "stopped"
    return "behind" if found.lag.seconds > BEHIND_AFTER_S else "ok"


def _table(view: StatusView) -> list[Any]:
    from gmhealth.cli.render import styled
    from gmhealth.cli.times import clock

    pairs: list[tuple[str, object]] = [
        ("state", styled(view.state)),
        ("consumer", view.consumer or "none: start `gmhealth consume`"),
        ("Redis", f"{view.target.redis}, stream {view.target.stream}"),
        ("PostgreSQL", f"{view.target.postgres}, table {view.target.table}"),
        ("offset", view.offset.id if view.offset else "none saved"),
        ("lag", _lag(view)),
        ("gap", view.gap.text if view.gap else "none"),
        ("coming in", _rate(view)),
        ("dead letters", f"{view.dead_letters:,}" + (": gmhealth dead-letter list" if view.dead_letters else "")),
        ("by status", _counts(view.by_status)),
        ("by summary", _counts(view.by_summary)),
    ]
    parts: list[Any] = [facts("gmhealth", pairs)]
    if view.unhealthy:
        columns = ("game", "status", "health", "turn", "updated")
        rows = [
            (row.game_id, row.status, row.engine_health, row.current_turn, clock(row.updated_at))
            for row in view.unhealthy
        ]
        shown = "" if view.unhealthy_total == len(rows) else f" ({len(rows)} of {view.unhealthy_total:,})"
        parts += [grid(f"Not healthy{shown}", columns, rows), f"next: gmhealth inspect {view.unhealthy[0].game_id}"]
    return parts


def _lag(view: StatusView) -> str:
    from gmhealth.cli.times import span

    about = "" if view.lag.exact else "about "
    return f"{about}{view.lag.entries:,} entries, oldest {span(view.lag.seconds)} old" if view.lag.entries else "none"


def _rate(view: StatusView) -> str:
    return f"{'' if view.events_per_minute_exact else 'more than '}{view.events_per_minute:,} events in the last minute"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "no games"


def _line(view: StatusView) -> str:
    offset = view.offset.id if view.offset else "none"
    return f"{view.state}  offset {offset}  lag {_lag(view)}  {_rate(view)}  not healthy {view.unhealthy_total:,}"
