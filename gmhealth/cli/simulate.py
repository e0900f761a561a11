"""`gmhealth simulate`: append the event Runtime Manager would, and follow it."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gmhealth.cli import completion
from gmhealth.cli.render import Output, OutputOption, facts, say, show
from gmhealth.cli.session import Session, confirm, session
from gmhealth.core.events import EventType
from gmhealth.errors import ConfigError, GmhealthError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gmhealth.cli.trace import Trace
    from gmhealth.cli.views import SimulateView


def simulate(
    ctx: typer.Context,
    event: Annotated[str, typer.Argument(help="Event type.", autocompletion=completion.event_names)],
    game_id: Annotated[str, typer.Option(help="The game.", autocompletion=completion.game_ids)],
    set_: Annotated[list[str] | None, typer.Option("--set", help="Put into details.", metavar="K=V")] = None,
    at: Annotated[str | None, typer.Option(help="When it occurred; default now.", metavar="T")] = None,
    container_id: Annotated[str, typer.Option(help="Container; the default marks it as simulated.")] = "simulated000",
    count: Annotated[int, typer.Option(min=1, help="So many entries.")] = 1,
    rate: Annotated[float | None, typer.Option(min=0.001, help="At most so many a second.")] = None,
    print_only: Annotated[bool, typer.Option("--print", help="Print the entry; send nothing.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what it would do; send nothing.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until row and snapshot show it.")] = False,
    timeout: Annotated[float, typer.Option(help="Longest wait, in seconds.")] = 10,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Append a health event as Runtime Manager would.

        gmhealth --embedded simulate container_oom --game-id game-andromeda --wait

        gmhealth simulate probe_failed --game-id game-andromeda --set consecutive_failures=5 --dry-run

    Against anything but the embedded servers it asks first. `--dry-run` shows the plan for the game's row as it is,
    `--print` the exact entry.
    """
    from gmhealth.core.simulation import entry_fields

    fields = entry_fields(_event_type(event), game_id, container_id, _occurred_at_ms(at), _details(set_ or []))
    if print_only:
        show(_printed(fields), output, *_lines(fields))
        return
    with session(ctx, "simulate") as opened:
        if dry_run:
            show(*_dry_run(opened, fields, output))
            return
        if opened.servers.embedded is None:
            confirm(
                f"Append {count} simulated {event} to {opened.settings.health_stream} on {opened.target.redis}?",
                yes=yes,
            )
        trace = _append(opened, fields, game_id, count, rate)
        if wait:
            trace.follow(timeout)
        view = _sent(opened, fields, trace)
        show(view, output, facts("Simulated", _pairs(view, waited=wait)))


def _event_type(text: str) -> EventType:
    if text not in list(EventType):
        raise ConfigError(f"there is no event type {text!r}", hint="one of " + ", ".join(EventType))
    return EventType(text)


def _occurred_at_ms(text: str | None) -> int:
    from gmhealth.cli.times import id_at, parse_time

    if text is None:
        return time.time_ns() // 1_000_000
    moment, note = parse_time(text)
    if note:
        say(note)
    return id_at(moment).ms


def _details(pairs: list[str]) -> Mapping[str, Any]:
    """`k=v` pairs; a value that is JSON (a number, true, null, an object) is taken as such."""
    details: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise ConfigError(f"{pair!r} is no K=V", hint="write --set exit_code=137")
        try:
            details[name] = json.loads(value)
        except json.JSONDecodeError:
            details[name] = value
    return details


def _named(fields: list[bytes]) -> dict[str, str]:
    texts = [part.decode() for part in fields]
    return dict(zip(texts[::2], texts[1::2], strict=True))


def _printed(fields: list[bytes]) -> Any:
    from gmhealth.cli.views import EntryFieldsView

    return EntryFieldsView(fields=_named(fields))


def _lines(fields: list[bytes]) -> list[Any]:
    return [facts("Entry (not sent)", _named(fields).items())]


def _dry_run(opened: Session, fields: list[bytes], output: Output) -> tuple[Any, ...]:
    """The plan for the game's row as it is, by the same fold."""
    from gmhealth.cli.rehearsal import game_plan
    from gmhealth.cli.views import SimulateView
    from gmhealth.core.events import InvalidEntry, decode
    from gmhealth.core.plan import Row, fold

    event = decode((b"0-1", fields))
    if isinstance(event, InvalidEntry):
        raise GmhealthError(f"the consumer would refuse this entry: {event.reason}", hint="change --game-id or --at")
    rows = opened.parts.rows.load([event.game_id])
    plan = fold([event], rows, {})
    step, row = plan.steps[0], rows.get(event.game_id)
    after = next((Row(change.status, change.current_turn, change.summary) for change in plan.changes), None)
    view = SimulateView(
        target=opened.target,
        fields=_named(fields),
        plan=game_plan(event.game_id, row, after, len(plan.snapshots)) if row and after else None,
        outcome=step.outcome.value,
    )
    return view, output, facts("Dry run (nothing was sent)", _pairs(view, waited=False))


def _append(opened: Session, fields: list[bytes], game_id: str, count: int, rate: float | None) -> Trace:
    from gmhealth.cli.trace import Trace

    trace = Trace(opened.parts, game_id)
    for index in range(count):
        if rate and index:
            time.sleep(1 / rate)
        trace.append(fields)
    return trace


def _sent(opened: Session, fields: list[bytes], trace: Trace) -> SimulateView:
    from gmhealth.cli.views import SimulateView

    return SimulateView(
        target=opened.target,
        fields=_named(fields),
        entries=[str(entry_id) for entry_id in trace.entry_ids],
        row_ms=trace.row_ms,
        snapshot_ms=trace.snapshot_ms,
        snapshot=trace.snapshot,
    )


def _pairs(view: SimulateView, *, waited: bool) -> list[tuple[str, object]]:
    pairs: list[tuple[str, object]] = [("Redis", view.target.redis), ("stream", view.target.stream)]
    pairs += view.fields.items()
    if view.entries:
        more = f" … {view.entries[-1]} ({len(view.entries):,} entries)" if len(view.entries) > 1 else ""
        pairs.append(("appended as", view.entries[0] + more))
    if view.outcome:
        pairs.append(("outcome", view.outcome))
    if view.plan:
        plan = view.plan
        pairs += [
            ("status", f"{plan.status} -> {plan.status_after}"),
            ("summary", f"{plan.summary or '(none)'} -> {plan.summary_after}"),
            ("snapshots", str(plan.snapshots)),
        ]
    if waited:
        pairs += _waited(view)
    elif view.entries:
        pairs.append(("next", f"gmhealth inspect {view.fields['game_id']}"))
    return pairs


def _waited(view: SimulateView) -> list[tuple[str, object]]:
    sent = "none: the summary is the one sent last (debounced), or the game has no row"
    if view.snapshot is not None:
        sent = (
            f"after {view.snapshot_ms:.1f} ms: {view.snapshot.runtime_status},"
            f" {view.snapshot.engine_health_summary}, turn {view.snapshot.current_turn}"
        )
    return [("row", "no such game" if view.row_ms is None else f"after {view.row_ms:.1f} ms"), ("snapshot", sent)]
