"""`gmhealth replay`: run a range of the stream again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from gmhealth.cli import completion
from gmhealth.cli.boundary import INTERRUPTED
from gmhealth.cli.render import Part, say, show, tell
from gmhealth.cli.session import confirm, session
from gmhealth.cli.tables import Facts, Grid
from gmhealth.cli.types import Output, OutputOption, parse_entry_id, parse_game_id, parse_time
from gmhealth.core.entry import EntryId
from gmhealth.errors import Refused
from gmhealth.operations.times import Moment

if TYPE_CHECKING:
    from gmhealth.operations.models import GamePlanView, ReplayView
    from gmhealth.operations.session import Session


def replay(
    ctx: typer.Context,
    from_id: Annotated[
        EntryId | None, typer.Option(help="The first entry.", metavar="ID", parser=parse_entry_id)
    ] = None,
    from_time: Annotated[
        Moment | None, typer.Option(help="The first entry at or after T.", metavar="T", parser=parse_time)
    ] = None,
    to_id: Annotated[
        EntryId | None,
        typer.Option(help="The last entry; default the last one now.", metavar="ID", parser=parse_entry_id),
    ] = None,
    to_time: Annotated[
        Moment | None, typer.Option(help="The last entry at or before T.", metavar="T", parser=parse_time)
    ] = None,
    game_id: Annotated[
        list[str] | None,
        typer.Option(
            "--game-id",
            "-g",
            help="Only this game; may be repeated.",
            metavar="GAME_ID",
            parser=parse_game_id,
            autocompletion=completion.game_ids,
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what it would do; write nothing.")] = False,
    health_only: Annotated[bool, typer.Option("--health-only", help="Set summaries; move no status.")] = False,
    no_publish: Annotated[bool, typer.Option("--no-publish", help="Write rows; send no snapshots.")] = False,
    rate: Annotated[
        float | None, typer.Option(min=0.001, max=1_000_000, help="At most so many entries a second.", metavar="N")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Run a range of the stream again, by the same rules; the saved offset stays where it is.

    - `gmhealth replay --from-time 2026-11-23T03:00:00Z --dry-run`
    - `gmhealth replay --from-id 1795449364420-0 --game-id game-andromeda`

    The range is inclusive and ends, unless told, at the end of the stream as it is now. First it shows what would
    become of each game; where statuses would change it asks. It needs the leader lock: beside a live consumer it
    refuses (exit 4) and shows what does the same live. Ctrl-C ends it after the batch in flight and prints the command
    that goes on.
    """
    from gmhealth.operations.replay_range import Ends, resolve

    ends = Ends(from_id, from_time, to_id, to_time)
    ends.check()
    with session(ctx, "replay") as opened:
        from gmhealth.operations import replay as replaying

        options = replaying.ReplayOptions(frozenset(game_id or ()), health_only, no_publish, rate, yes)
        wanted = resolve(opened, ends)
        if not dry_run:
            replaying.refuse_beside_consumer(opened, wanted)
        if wanted.trimmed:
            say(wanted.trimmed)
        job = options.job(wanted, opened.settings.batch_size)
        view = replaying.plan(opened, wanted, job)
        if dry_run:
            show(view, output, *_planned(view), f"next: {replaying.next_step(opened, wanted)}")
            return
        _ask(opened, view, yes=yes)
        view = replaying.run(opened, view, job, options)
        show(view, output, *_done(opened, view))
        if view.resume:
            raise typer.Exit(INTERRUPTED)


def _ask(opened: Session, view: ReplayView, *, yes: bool) -> None:
    if view.stale and not yes:
        raise Refused(
            f"rows would end up stale, nothing was changed: {_stale(view)}",
            hint="leave out --to-id and --to-time, or add --yes if that is what you want",
        )
    changes = [game for game in view.games if game.status != game.status_after]
    if changes:
        rows = [(game.game_id, game.status, game.status_after) for game in changes]
        title = "The replay would change these statuses, and nothing may set them right again"
        tell(Grid(title, ("game", "status now", "after it"), rows))
        confirm(opened, "Go ahead? (--health-only would leave the statuses alone)", yes=yes)


def _planned(view: ReplayView) -> Iterator[Part]:
    changes = sum(game.status != game.status_after for game in view.games)
    pairs = [
        ("Redis", f"{view.target.redis}, stream {view.target.stream}"),
        ("PostgreSQL", f"{view.target.postgres}, table {view.target.table}"),
        ("range", f"{view.first} to {view.last}"),
        ("entries", f"{view.entries:,}, {view.invalid:,} of them invalid"),
        ("games", f"{len(view.games):,} with a row, {view.unknown_games:,} without"),
        ("statuses", f"{changes:,} games would have another one" if changes else "none would change"),
        ("snapshots", f"{view.snapshots:,} would be sent"),
        ("stale", _stale(view) if view.stale else "none: no game has newer events that were consumed"),
    ]
    yield Facts("Replay (dry run: nothing was written)", pairs)
    if view.games:
        rows = [_game(game) for game in sorted(view.games, key=lambda game: game.status == game.status_after)]
        yield Grid("Games, now -> after", ("game", "status", "health", "snapshots"), rows)


def _stale(view: ReplayView) -> str:
    some = ", ".join(view.stale[:10]) + (" …" if len(view.stale) > 10 else "")
    return f"after {view.last} come newer events of {some} ({len(view.stale):,} games)"


def _game(game: GamePlanView) -> tuple[str, str, str, int]:
    health, after = game.summary or "(none)", game.summary_after or "(none)"
    return game.game_id, _change(game.status, game.status_after), _change(health, after), game.snapshots


def _change(before: str, after: str) -> str:
    return before if before == after else f"{before} -> {after}"


def _done(opened: Session, view: ReplayView) -> Iterator[str]:
    yield (
        f"replayed {view.done:,} of {view.entries:,} entries; sent {view.snapshots:,} snapshots;"
        " the saved offset stays where it was"
    )
    yield f"interrupted; go on with: {view.resume}" if view.resume else f"next: {opened.command('status')}"
