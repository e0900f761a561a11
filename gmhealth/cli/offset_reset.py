"""`gmhealth offset reset`: move the saved offset, with a live consumer or without."""

from __future__ import annotations

import getpass
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gmhealth.cli.globals import program
from gmhealth.cli.render import Output, OutputOption, facts, grid, say, show
from gmhealth.cli.session import Session, confirm, session
from gmhealth.errors import ConfigError, NotFound, Refused

if TYPE_CHECKING:
    from gmhealth.cli.views import GamePlanView, ResetView
    from gmhealth.core.continuity import StreamState
    from gmhealth.core.entry import EntryId
    from gmhealth.ports import Saved

FOLLOWS_WITHIN_S: Final = 3.0
"""A live consumer looks at the offset once per block interval, half a second."""

TRIES: Final = 20


@dataclass(frozen=True, slots=True)
class Target:
    """Where the offset is to go, and what a person should know about how that was read."""

    offset: EntryId
    note: str = ""


def reset(
    ctx: typer.Context,
    to_id: Annotated[str | None, typer.Option(help="The last entry to count as done.", metavar="ID")] = None,
    to_time: Annotated[str | None, typer.Option(help="Just before the first entry at or after T.", metavar="T")] = None,
    ago: Annotated[str | None, typer.Option(help="The same, a span ago: 15m, 2h, 1d.", metavar="SPAN")] = None,
    to_start: Annotated[bool, typer.Option("--to-start", help="Before the first entry.")] = False,
    to_end: Annotated[bool, typer.Option("--to-end", help="To the last entry: skip what is unread.")] = False,
    by: Annotated[int | None, typer.Option(help="So many entries back (-N) or forward (N).", metavar="N")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would happen; change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    reason: Annotated[str, typer.Option(help="Why, for the audit.", metavar="TEXT")] = "",
    output: OutputOption = Output.TABLE,
) -> None:
    """Move the saved offset: back, to run entries again, or forward, to skip them.

        gmhealth offset reset --ago 15m --dry-run

        gmhealth offset reset --to-id 1795449364420-0 --reason "INC-42"

    Exactly one target. Works on a live consumer, which follows within a second. A time without a zone is UTC. Shows
    old and new, and which statuses a re-run would change, then asks; off a terminal it needs --yes. Prints the command
    that undoes it.
    """
    wishes = {"to_id": to_id, "to_time": to_time, "ago": ago, "to_start": to_start, "to_end": to_end, "by": by}
    given = {name: value for name, value in wishes.items() if value is not None and value is not False}
    if len(given) != 1:
        raise ConfigError(
            f"{len(given)} targets are given, but it takes exactly one",
            hint="one of --to-id, --to-time, --ago, --to-start, --to-end, --by",
        )
    with session(ctx, "offset-reset") as opened:
        parts = opened.parts
        saved, state = parts.ledger.saved(), parts.stream.state()
        target = _resolve(opened, saved, state, *given.popitem())
        view = _plan(opened, saved, state, target)
        if output is Output.TABLE or not (dry_run or yes):
            _present(view, target, bool(parts.rows.holder()))
        parts.rows.close()  # a session may not idle while a person thinks
        if not dry_run and view.direction != "nowhere":
            confirm("Move the offset?", yes=yes)
            view = _apply(opened, saved, target, reason, view, yes=yes)
        show(view, output, *_result(view))


def _resolve(opened: Session, saved: Saved, state: StreamState, how: str, wish: object) -> Target:
    """Turn the one target into an offset inside the stream. Refuses the future and what is past the end."""
    from gmhealth.cli.times import id_at, parse_duration, parse_entry_id, parse_time
    from gmhealth.core.entry import START, EntryId

    if not state.exists:
        raise NotFound(
            f"there is no stream {opened.settings.health_stream}",
            hint="check GMHEALTH_HEALTH_STREAM, `gmhealth doctor`",
        )
    now = opened.parts.look.now_ms()
    if how == "to_start":
        return Target(START, "from the beginning: every entry that is left is run again")
    if how == "to_end":
        return Target(state.last_generated)
    if how == "by":
        return _shifted(opened, saved, int(str(wish)))
    if how == "to_id":
        return _inside(parse_entry_id(str(wish)), state)
    if how == "ago":
        return _just_before(opened, EntryId(now - round(parse_duration(str(wish)).total_seconds() * 1000), 0), "")
    moment, note = parse_time(str(wish))
    if id_at(moment).ms > now:
        raise Refused(f"{moment:%Y-%m-%d %H:%M:%S} UTC is in the future", hint="--to-end skips all that is unread")
    return _just_before(opened, id_at(moment), note)


def _just_before(opened: Session, start: EntryId, note: str) -> Target:
    """The last entry before `start`, so that reading goes on with the first one from there."""
    from gmhealth.cli.lag import last_before
    from gmhealth.core.entry import START

    previous = last_before(opened.parts, start)
    if previous == START:
        return Target(START, f"{note}; no entry is left from before that time".removeprefix("; "))
    return Target(previous, note)


def _inside(offset: EntryId, state: StreamState) -> Target:
    if offset > state.last_generated:
        return Target(state.last_generated, f"{offset} is past the end of the stream: clamped to its last entry")
    if state.first is not None and offset < state.first.before():
        return Target(offset, "before the first entry that is left: starts with that one")
    return Target(offset)


def _shifted(opened: Session, saved: Saved, by: int) -> Target:
    """Go `by` entries on or back from the saved offset; stops at either end, and says so."""
    from gmhealth.core.entry import START, EntryId

    look, stream = opened.parts.look, opened.settings.health_stream
    if by >= 0:
        passed = [entry for entry, _ in zip(look.forward(stream, saved.entry_id), range(by), strict=False)]
        note = "" if len(passed) == by else f"only {len(passed):,} entries are left: moves to the last one"
    else:
        passed = list(look.backward(stream, 1 - by, saved.entry_id))
        note = "" if len(passed) > -by else "fewer entries are left before it: moves before the first one"
        if note:
            return Target(START, note)
    return Target(EntryId.parse(passed[-1][0]) or START if passed else saved.entry_id, note)


def _plan(opened: Session, saved: Saved, state: StreamState, target: Target) -> ResetView:
    from gmhealth.cli.lag import entry_view, lag_after
    from gmhealth.cli.views import EntryView, ResetView

    before, after = (lag_after(opened.parts, offset, state) for offset in (saved.entry_id, target.offset))
    back = target.offset < saved.entry_id
    direction = "back" if back else "forward" if target.offset > saved.entry_id else "nowhere"
    old = None if saved.text is None else entry_view(saved.entry_id)
    undo = f"--to-id {saved.entry_id}" if saved.text is not None else "--to-start"
    return ResetView(
        target=opened.target,
        old=old,
        new=entry_view(target.offset) or EntryView(id=str(target.offset), time=None),
        direction=direction,
        entries=abs(after.entries - before.entries),
        exact=after.exact and before.exact,
        status_changes=_status_changes(opened, target, state) if back else [],
        applied=False,
        followed_by=None,
        undo=f"{program()} offset reset {undo}",
    )


def _status_changes(opened: Session, target: Target, state: StreamState) -> list[GamePlanView]:
    """Which statuses a re-run would change, by running it without effects (I10)."""
    from gmhealth.cli.rehearsal import rehearse
    from gmhealth.cli.signals import stop_on_signals
    from gmhealth.worker import Job

    job = Job(start=target.offset.after(), until=state.last_generated, batch_size=opened.settings.batch_size, tries=3)
    with stop_on_signals() as stop:
        found = rehearse(opened.parts, job, stop)
        if stop.is_set():
            raise KeyboardInterrupt
    return found.status_changes()


def _present(view: ResetView, target: Target, live: bool) -> None:
    from gmhealth.cli.render import console
    from gmhealth.cli.times import utc_and_local

    about = "" if view.exact else "about "
    verb = {"back": "are run again", "forward": "are skipped: their effects are lost", "nowhere": "are touched"}
    pairs = [
        ("Redis", view.target.redis),
        ("key", view.target.offset_key),
        ("old", f"{view.old.id}   {utc_and_local(view.old.time)}" if view.old else "none saved"),
        ("new", f"{view.new.id}   {utc_and_local(view.new.time)}"),
        ("direction", f"{view.direction}: {about}{view.entries:,} entries {verb[view.direction]}"),
        ("consumer", "live: it follows within a second" if live else "none: the next `consume` starts there"),
    ]
    if target.note:
        pairs.append(("note", target.note))
    err = console(to_stderr=True)
    err.print(facts("Offset reset", pairs))
    if view.status_changes:
        columns = ("game", "status now", "after the re-run")
        rows = [(game.game_id, game.status, game.status_after) for game in view.status_changes]
        err.print(grid("The re-run would change these statuses (and nothing may set them right again)", columns, rows))


def _apply(opened: Session, saved: Saved, target: Target, reason: str, view: ResetView, *, yes: bool) -> ResetView:
    from gmhealth.adapters.redis_reset import Reset

    parts = opened.parts
    consumer = parts.rows.holder()
    mark = parts.ledger.saved().mark
    by = f"{getpass.getuser()}@{socket.gethostname()}"
    for _ in range(TRIES if yes else 1):
        if parts.reset.apply(Reset(saved, target.offset, by, reason, time.time_ns() // 1_000_000)):
            break
        saved = parts.ledger.saved()  # `--yes` is an answer for whatever a busy consumer has moved it to meanwhile
    else:
        raise Refused(
            "the offset has moved since it was shown; nothing was changed",
            hint="a busy consumer moves it all the time: look again, then add --yes",
        )
    followed_by = _followed(opened, mark) if consumer else None
    if consumer and followed_by is None:
        say(f"the consumer ({consumer}) has not followed within {FOLLOWS_WITHIN_S:g} s: gmhealth status")
    return view.model_copy(update={"applied": True, "followed_by": followed_by})


def _followed(opened: Session, mark: str | None) -> str | None:
    """Wait for the consumer's next commit: it can only be one that was fenced on the new offset (I6)."""
    deadline = time.monotonic() + FOLLOWS_WITHIN_S
    while time.monotonic() < deadline:
        saved = opened.parts.ledger.saved()
        if saved.mark != mark:
            return saved.mark
        time.sleep(0.02)
    return None


def _result(view: ResetView) -> list[Any]:
    if not view.applied:
        return ["the offset is there already" if view.direction == "nowhere" else "nothing was changed (dry run)"]
    lines = [f"the offset is now {view.new.id}"]
    if view.followed_by:
        lines.append(f"the live consumer has followed: {view.followed_by}")
    return [*lines, f"undo: {view.undo}"]
