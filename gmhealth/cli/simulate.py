"""`gmhealth simulate`: append the event Runtime Manager would, and follow it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from gmhealth.cli import completion
from gmhealth.cli.render import say, show
from gmhealth.cli.session import confirm, session
from gmhealth.cli.tables import Facts
from gmhealth.cli.types import Detail, Output, OutputOption, parse_detail, parse_game_id, parse_time
from gmhealth.core.rules import EventType
from gmhealth.operations.times import Moment

if TYPE_CHECKING:
    from gmhealth.operations.models import SimulateView
    from gmhealth.operations.session import Session


def simulate(
    ctx: typer.Context,
    event: Annotated[
        EventType, typer.Argument(help=f"One of {', '.join(EventType)}.", metavar="EVENT", show_choices=False)
    ],
    game_id: Annotated[
        str,
        typer.Option(
            "--game-id",
            "-g",
            help="The game.",
            metavar="GAME_ID",
            parser=parse_game_id,
            autocompletion=completion.game_ids,
        ),
    ],
    set_: Annotated[
        list[Detail] | None, typer.Option("--set", help="Put into details.", metavar="K=V", parser=parse_detail)
    ] = None,
    at: Annotated[
        Moment | None, typer.Option(help="When it occurred; default now.", metavar="T", parser=parse_time)
    ] = None,
    container_id: Annotated[
        str, typer.Option(help="Container; the default marks it as simulated.", metavar="ID")
    ] = "simulated000",
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="So many entries.", metavar="N")] = 1,
    rate: Annotated[
        float | None, typer.Option(min=0.001, max=1_000_000, help="At most so many a second.", metavar="N")
    ] = None,
    print_only: Annotated[bool, typer.Option("--print", help="Print the entry; send nothing.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what it would do; send nothing.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until row and snapshot show it.")] = False,
    timeout: Annotated[float, typer.Option(min=0, max=86_400, help="Longest wait, in seconds.", metavar="S")] = 10.0,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Append a health event as Runtime Manager would.

    - `gmhealth --embedded simulate container_oom --game-id game-andromeda --wait`
    - `gmhealth simulate probe_failed -g game-andromeda --set state=slow --dry-run`

    Against anything but the embedded servers it asks first. --dry-run shows the plan for the game's row as it is,
    --print the exact entry.
    """
    from gmhealth.operations import simulate as simulated
    from gmhealth.operations.trace import Trace

    fields = simulated.checked_entry(event, game_id, container_id, simulated.occurred_at_ms(at, say), dict(set_ or []))
    if print_only:
        from gmhealth.operations.models import EntryFieldsView

        named = simulated.named(fields)
        show(EntryFieldsView(fields=named), output, Facts("Entry (not sent)", list(named.items()), 2000))
        return
    with session(ctx, "simulate") as opened:
        if dry_run:
            view = simulated.dry_run(opened, fields)
            show(view, output, Facts("Dry run (nothing was sent)", list(_pairs(view))), _next(opened, view))
            return
        if opened.servers.embedded is None:
            where = f"{opened.settings.health_stream} on {opened.target.redis}"
            confirm(opened, f"Append {count:,} simulated {event} to {where}?", yes=yes)
        # To open a session takes longer than what is measured; one that idles between appends would be ended.
        held = opened.parts.games.held() if wait and count == 1 else nullcontext()
        trace = Trace(opened.parts, game_id)
        with simulated.counted(opened, trace, count), held:
            simulated.append_all(trace, fields, count, rate)
            consumed = not wait or trace.follow(timeout)
            missed = None if consumed else simulated.not_consumed(opened, trace, timeout)
        if missed is not None:
            raise missed
        view = simulated.sent(opened, fields, trace)
        waited = list(_waited(view)) if wait else []
        show(view, output, Facts("Simulated", [*_pairs(view), *waited]), _next(opened, view))


def _next(opened: Session, view: SimulateView) -> str:
    return f"next: {opened.command('inspect', view.fields['game_id'])}"


def _pairs(view: SimulateView) -> Iterator[tuple[str, object]]:
    yield from (("Redis", view.target.redis), ("stream", view.target.stream))
    yield from view.fields.items()
    if view.entries:
        more = f" … {view.entries[-1]} ({len(view.entries):,} entries)" if len(view.entries) > 1 else ""
        yield "appended as", view.entries[0] + more
    if view.outcome:
        yield "outcome", "no such game: the consumer would count it and go on" if not view.plan else view.outcome
    if view.plan:
        plan = view.plan
        yield "status", f"{plan.status} -> {plan.status_after}"
        yield "health", f"{plan.summary or '(none)'} -> {plan.summary_after}"
        yield "snapshot", "sent" if plan.status != plan.status_after else "sent, unless this health was sent last"


def _waited(view: SimulateView) -> Iterator[tuple[str, object]]:
    yield "row", "no such game" if view.row_ms is None else f"after {view.row_ms:.1f} ms"
    sent = view.snapshot
    if sent is None:
        debounced = "none: this health was sent last (debounced)"
        yield "snapshot", "none: no such game" if view.row_ms is None else debounced
    else:
        told = f"{sent.runtime_status}, {sent.engine_health_summary}, turn {sent.current_turn}"
        yield "snapshot", f"after {view.snapshot_ms:.1f} ms: {told}"
