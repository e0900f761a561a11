"""`gmhealth replay`: run a range of the stream again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gmhealth.cli import completion
from gmhealth.cli.boundary import INTERRUPTED
from gmhealth.cli.globals import program
from gmhealth.cli.render import Output, OutputOption, say, show
from gmhealth.cli.session import Session, confirm, session
from gmhealth.cli.signals import stop_on_signals
from gmhealth.errors import ConfigError, NotFound, Refused, Unavailable

if TYPE_CHECKING:
    from gmhealth.cli.views import ReplayView
    from gmhealth.core.continuity import StreamState
    from gmhealth.core.entry import EntryId
    from gmhealth.ports import Stop
    from gmhealth.worker import Job

TRIES: Final = 8
"""Failures in a row, some ten seconds, after which a replay gives up and says how to go on."""


@dataclass(frozen=True, slots=True)
class Range:
    """What is run: inclusive at both ends, as a person pastes it, and about how many entries that is."""

    first: EntryId
    last: EntryId
    entries: int
    trimmed: str | None


def replay(
    ctx: typer.Context,
    from_id: Annotated[str | None, typer.Option(help="The first entry.", metavar="ID")] = None,
    from_time: Annotated[str | None, typer.Option(help="The first entry at or after T.", metavar="T")] = None,
    to_id: Annotated[str | None, typer.Option(help="The last entry; default the last one now.", metavar="ID")] = None,
    to_time: Annotated[str | None, typer.Option(help="The last entry at or before T.", metavar="T")] = None,
    game_id: Annotated[
        list[str] | None, typer.Option(help="Only this game; may be repeated.", autocompletion=completion.game_ids)
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what it would do; write nothing.")] = False,
    health_only: Annotated[bool, typer.Option("--health-only", help="Set summaries; move no status.")] = False,
    no_publish: Annotated[bool, typer.Option("--no-publish", help="Write rows; send no snapshots.")] = False,
    rate: Annotated[float | None, typer.Option(min=0.001, help="At most so many entries a second.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Run a range of the stream again, by the same rules; the saved offset stays where it is.

        gmhealth replay --from-time 2026-11-23T03:00:00Z --dry-run

        gmhealth replay --from-id 1795449364420-0 --to-id 1795449365638-9 --game-id game-andromeda

    The range is inclusive and ends, unless told, at the end of the stream as it is now. First it shows what would
    become of each game; where statuses would change it asks. It needs the writer's lock: beside a live consumer it
    refuses (exit 4) and shows what does the same live. Ctrl-C ends it after the batch in hand and prints the command
    that goes on.
    """
    from gmhealth.worker import Job

    with session(ctx, "replay") as opened, stop_on_signals() as stop:
        wanted = _range(opened, from_id, from_time, to_id, to_time)
        if not dry_run:
            _refuse_beside_consumer(opened, wanted)
        job = Job(
            start=wanted.first,
            until=wanted.last,
            batch_size=opened.settings.batch_size,
            games=frozenset(game_id) if game_id else None,
            swap=not health_only,
            publish=not no_publish,
            tries=TRIES,
        )
        view = _plan(opened, wanted, job, stop)
        if dry_run:
            show(view, output, *_table(view))
            return
        _ask(opened, view, yes=yes)
        view = _run(opened, view, _paced(job, rate), stop)
        show(view, output, *_done(view))
        if stop.is_set():
            raise typer.Exit(INTERRUPTED)


def _range(
    opened: Session, from_id: str | None, from_time: str | None, to_id: str | None, to_time: str | None
) -> Range:
    """Turn the options into IDs; the end is fixed now, so that what comes meanwhile is not run."""
    from gmhealth.cli.lag import lag_after

    if (from_id is None) == (from_time is None):
        raise ConfigError("a replay needs a start", hint="exactly one of --from-id and --from-time")
    if to_id is not None and to_time is not None:
        raise ConfigError("a replay has one end", hint="at most one of --to-id and --to-time")
    state = opened.parts.stream.state()
    if not state.exists:
        raise NotFound(f"there is no stream {opened.settings.health_stream}", hint="check GMHEALTH_HEALTH_STREAM")
    first = _first(from_id, from_time)
    last = min(_last(to_id, to_time, state), state.last_generated)
    if last < first:
        raise NotFound(
            f"the range from {first} to {last} is empty: the stream ends at {state.last_generated}",
            hint="`gmhealth offset show` shows its ends",
        )
    entries = lag_after(opened.parts, first.before(), state).entries - lag_after(opened.parts, last, state).entries
    return Range(first, last, max(0, entries), _trimmed(first, state))


def _first(from_id: str | None, from_time: str | None) -> EntryId:
    from gmhealth.cli.times import id_at, parse_entry_id, parse_time

    if from_id is not None:
        return parse_entry_id(from_id)
    moment, note = parse_time(from_time or "")
    if note:
        say(f"--from-time: {note}")
    return id_at(moment)


def _last(to_id: str | None, to_time: str | None, state: StreamState) -> EntryId:
    from gmhealth.cli.times import id_at, parse_entry_id, parse_time
    from gmhealth.core.entry import EntryId

    if to_id is not None:
        return parse_entry_id(to_id)
    if to_time is None:
        return state.last_generated
    moment, note = parse_time(to_time)
    if note:
        say(f"--to-time: {note}")
    return EntryId(id_at(moment).ms + 1, 0).before()


def _trimmed(first: EntryId, state: StreamState) -> str | None:
    if not state.gone or (state.first is not None and state.first <= first):
        return None
    left = f"it starts with {state.first}" if state.first else "nothing is left of it"
    return f"entries from {first} on may be gone ({state.gone:,} were removed from the stream): {left}"


def _refuse_beside_consumer(opened: Session, wanted: Range) -> None:
    holder = opened.parts.rows.holder()
    if holder is not None:
        from gmhealth.cli.lag import last_before

        before = last_before(opened.parts, wanted.first)
        raise Refused(
            f"a live consumer holds the writer's lock: {holder}",
            hint=f"to have it run the range live: {program()} offset reset --to-id {before} --dry-run",
        )


def _plan(opened: Session, wanted: Range, job: Job, stop: Stop) -> ReplayView:
    """Rehearse the range over the rows as they are, and look what comes after it."""
    from gmhealth.cli.progress import counting
    from gmhealth.cli.rehearsal import games_after, rehearse
    from gmhealth.cli.views import ReplayView

    if wanted.trimmed:
        say(wanted.trimmed)
    with counting("planning", wanted.entries) as count:
        found = rehearse(opened.parts, job, stop, count)
    if stop.is_set():
        raise KeyboardInterrupt
    return ReplayView(
        target=opened.target,
        first=str(wanted.first),
        last=str(wanted.last),
        entries=found.entries,
        invalid=found.invalid,
        unknown_games=len(found.unknown_games),
        snapshots=found.ledger.sent.total(),
        games=found.games(),
        stale=games_after(opened.parts, wanted.last, found.touched),
        trimmed=wanted.trimmed,
        done=0,
        resume=None,
    )


def _ask(opened: Session, view: ReplayView, *, yes: bool) -> None:
    from gmhealth.cli.render import console, grid

    opened.parts.rows.close()  # a session may not idle while a person thinks
    if view.stale and not yes:
        some = ", ".join(view.stale[:10]) + (" …" if len(view.stale) > 10 else "")
        raise Refused(
            f"{len(view.stale)} games have newer events after {view.last}; their rows would end up stale: {some}",
            hint="leave out --to-id and --to-time, or add --yes if that is what you want",
        )
    changes = [game for game in view.games if game.status != game.status_after]
    if changes:
        columns = ("game", "status now", "after the replay")
        rows = [(game.game_id, game.status, game.status_after) for game in changes]
        title = "The replay would change these statuses (and nothing may set them right again)"
        console(to_stderr=True).print(grid(title, columns, rows))
        confirm("Go ahead? (--health-only would leave the statuses alone)", yes=yes)


def _paced(job: Job, rate: float | None) -> Job:
    """With a rate, batches of at most a tenth of a second: a batch goes out at once."""
    return job if rate is None else replace(job, rate=rate, batch_size=max(1, min(job.batch_size, round(rate / 10))))


def _run(opened: Session, view: ReplayView, job: Job, stop: Stop) -> ReplayView:
    from gmhealth import bootstrap
    from gmhealth.cli.progress import Counted, counting
    from gmhealth.observability.narrator import narrate_trouble

    done = Counted(narrate_trouble)
    try:
        with counting("replaying", view.entries) as count:
            done.on = count
            bootstrap.worker(opened.parts, job, done).run(stop)
    except Unavailable as error:
        error.hint = f"go on with: {_resume(view, job, done.last)}"
        raise
    resume = _resume(view, job, done.last) if stop.is_set() and done.entries < view.entries else None
    return view.model_copy(update={"done": done.entries, "snapshots": done.snapshots, "resume": resume})


def _resume(view: ReplayView, job: Job, last: EntryId | None) -> str:
    """The command that runs what is left."""
    first = view.first if last is None else str(last.after())
    words = [program(), "replay", "--from-id", first, "--to-id", view.last]
    words += [word for game in sorted(job.games or ()) for word in ("--game-id", game)]
    words += ["--health-only"] * (not job.swap) + ["--no-publish"] * (not job.publish)
    return " ".join([*words, *([f"--rate {job.rate:g}"] if job.rate else [])])


def _table(view: ReplayView) -> list[Any]:
    from gmhealth.cli.render import facts, grid

    pairs = [
        ("Redis", f"{view.target.redis}, stream {view.target.stream}"),
        ("PostgreSQL", f"{view.target.postgres}, table {view.target.table}"),
        ("range", f"{view.first} to {view.last}: {view.entries:,} entries, {view.invalid:,} of them invalid"),
        ("games without a row", f"{view.unknown_games:,}"),
        ("snapshots", f"{view.snapshots:,} would be sent"),
        ("stale afterwards", f"{len(view.stale):,} games have newer events" if view.stale else "none"),
        ("next", "the same without --dry-run; --health-only leaves statuses alone"),
    ]
    columns = ("game", "status", "after", "health", "after", "snapshots")
    rows = [
        (game.game_id, game.status, game.status_after, game.summary or "-", game.summary_after, game.snapshots)
        for game in view.games
    ]
    parts: list[Any] = [facts("Replay (dry run: nothing was written)", pairs)]
    return [*parts, grid("Games, now and after", columns, rows)] if rows else parts


def _done(view: ReplayView) -> list[Any]:
    line = f"replayed {view.done:,} of {view.entries:,} entries; sent {view.snapshots:,} snapshots; the offset stays"
    return [line, f"interrupted; go on with: {view.resume}" if view.resume else "next: gmhealth status"]
