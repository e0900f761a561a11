"""`gmhealth offset reset`: move the saved offset, with a live consumer or without."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gmhealth.cli.render import Part, show, tell
from gmhealth.cli.session import confirm, session
from gmhealth.cli.tables import Facts, Grid
from gmhealth.cli.types import Output, OutputOption, parse_duration, parse_entry_id, parse_time
from gmhealth.core.entry import EntryId
from gmhealth.errors import ConfigError
from gmhealth.operations.times import Moment

if TYPE_CHECKING:
    from gmhealth.operations.models import EntryView, ResetView

VERBS: Final = {
    "back": "are run again",
    "forward": "are skipped: they are never applied",
    "nowhere": "lie between: it is there already",
    "unknown": "come after the new one, and some of them may have been run",
}


def reset(
    ctx: typer.Context,
    to_id: Annotated[
        EntryId | None, typer.Option(help="The last entry to count as done.", metavar="ID", parser=parse_entry_id)
    ] = None,
    to_time: Annotated[
        Moment | None, typer.Option(help="Just before the first entry at or after T.", metavar="T", parser=parse_time)
    ] = None,
    ago: Annotated[
        timedelta | None, typer.Option(help="The same, a span ago: 15m, 2h, 1d.", metavar="SPAN", parser=parse_duration)
    ] = None,
    to_start: Annotated[bool, typer.Option("--to-start", help="Before the first entry.")] = False,
    to_end: Annotated[bool, typer.Option("--to-end", help="To the last entry: skip what is unread.")] = False,
    by: Annotated[int | None, typer.Option(help="So many entries back (-N) or forward (N).", metavar="N")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would happen; change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    reason: Annotated[str, typer.Option(help="Why, for the audit.", metavar="TEXT", show_default=False)] = "",
    output: OutputOption = Output.TABLE,
) -> None:
    """Move the saved offset: back, to run entries again, or forward, to skip them.

    - `gmhealth offset reset --ago 15m --dry-run`
    - `gmhealth offset reset --to-id 1795449364420-0 --reason INC-42`

    Takes exactly one target. Works on a live consumer, which follows within a second, and on an offset that is no entry
    ID. A time without a zone is UTC. Shows old and new, and which statuses a re-run would change, then asks; off a
    terminal it needs --yes. Prints the command that undoes it, and writes who moved it and why to the audit stream.
    """
    targets = {"to_id": to_id, "to_time": to_time, "ago": ago, "to_start": to_start, "to_end": to_end, "by": by}
    how, value = _only({name: value for name, value in targets.items() if value is not None and value is not False})
    with session(ctx, "offset-reset") as opened:
        from gmhealth.operations.offset_reset import move, plan
        from gmhealth.operations.offset_target import resolve

        parts = opened.parts
        saved, state = parts.ledger.found(), parts.stream.state()
        target = resolve(opened, saved, state, how, value)
        view = plan(opened, saved, state, target)
        if output is Output.TABLE or not (dry_run or yes):
            tell(*_plan(view))
        if not dry_run and view.direction != "nowhere":
            confirm(opened, "Move the offset?", yes=yes)
            view = move(opened, saved, target, view, reason=reason, yes=yes)
        show(view, output, *_result(view, opened.command("offset", "show")))


def _only(given: dict[str, object]) -> tuple[str, object]:
    if len(given) != 1:
        raise ConfigError(
            f"{len(given) or 'no'} targets are given, but it takes exactly one",
            hint="one of --to-id, --to-time, --ago, --to-start, --to-end, --by",
        )
    return given.popitem()


def _plan(view: ResetView) -> Iterator[Part]:
    lost = view.direction == "unknown"
    about = "" if view.exact else "about "
    pairs = [
        ("Redis", view.target.redis),
        ("key", view.target.offset_key),
        ("old", f"'{view.old.id}', which is no entry ID" if view.old and lost else _place(view.old)),
        ("new", _place(view.new)),
        ("direction", f"{view.direction}: {about}{view.entries:,} entries {VERBS[view.direction]}"),
        ("consumer", _consumer(view)),
    ]
    if (lost or view.direction == "back") and not view.status_changes:
        pairs.append(("statuses", "the re-run would change none"))
    yield Facts("Offset reset", [*pairs, ("note", view.note)] if view.note else pairs)
    if view.status_changes:
        rows = [(game.game_id, game.status, game.status_after) for game in view.status_changes]
        title = "The re-run would change these statuses, and nothing may set them right again"
        yield Grid(title, ("game", "status now", "after it"), rows)


def _consumer(view: ResetView) -> str:
    if view.replay:
        return f"none, a replay is running: the next consumer starts there ({view.replay})"
    return f"live, it follows: {view.consumer}" if view.consumer else "none: the next one starts there"


def _place(entry: EntryView | None) -> str:
    from gmhealth.operations.times import utc_and_local

    return "none saved" if entry is None else f"{entry.id}   {utc_and_local(entry.time)}"


def _result(view: ResetView, look: str) -> list[str]:
    if not view.applied:
        return ["the offset is there already" if view.direction == "nowhere" else "nothing was changed (dry run)"]
    lines = [f"the offset is now {view.new.id}"]
    if view.followed_by:
        lines.append(f"the live consumer has followed: {view.followed_by}")
    return [*lines, *([f"undo: {view.undo}"] if view.undo else []), f"next: {look}"]
