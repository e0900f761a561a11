"""Moving the offset: what that would do, the move itself, and whether a live consumer has followed it."""

from __future__ import annotations

import getpass
import os
import socket
import time
from typing import TYPE_CHECKING, Final

from gmhealth.adapters.redis.reset import RedisReset, Reset
from gmhealth.core.lag import Lag
from gmhealth.core.text import safe
from gmhealth.errors import GmhealthError, Refused, Unavailable
from gmhealth.operations.dry_run import dry_run
from gmhealth.operations.leader import holder
from gmhealth.operations.models import EntryView, GamePlanView, ResetView
from gmhealth.operations.offset_target import Target
from gmhealth.operations.position import entry_view, lag_after
from gmhealth.worker.job import Job

if TYPE_CHECKING:
    from gmhealth.core.continuity import StreamState
    from gmhealth.core.entry import EntryId
    from gmhealth.operations.session import Session
    from gmhealth.worker.ports import Saved


FOLLOWS_WITHIN_S: Final = 3.0
"""A live consumer looks at the offset once per block interval, half a second."""
TRIES: Final = 20


RELATIONS: Final = {
    "back": "lies after",
    "forward": "lies before",
    "nowhere": "is already",
    "unknown": "is no entry ID and cannot be compared with",
}


def plan(opened: Session, saved: Saved, state: StreamState, target: Target) -> ResetView:
    """What moving from `saved` to `target` would do."""
    direction = _direction(saved, target)
    between = _between(opened, saved, target, state)
    held = holder(opened.parts)
    return ResetView(
        target=opened.target,
        old=_old(saved),
        new=_new(target),
        direction=direction,
        entries=between.entries,
        exact=between.exact,
        note=target.note,
        consumer=held.consumer,
        replay=held.replay,
        status_changes=_status_changes(opened, target, state, between.entries)
        if direction in ("back", "unknown")
        else [],
        applied=False,
        followed_by=None,
        undo=_undo(opened, saved),
    )


def _direction(saved: Saved, target: Target) -> str:
    if not saved.is_readable:
        return "unknown"
    if target.offset == saved.entry_id:
        return "nowhere"
    return "back" if target.offset < saved.entry_id else "forward"


def _between(opened: Session, saved: Saved, target: Target, state: StreamState) -> Lag:
    after = lag_after(opened.parts, target.offset, state)
    if not saved.is_readable:
        return after
    before = lag_after(opened.parts, saved.entry_id, state, saved.entries_read)
    return Lag(abs(after.entries - before.entries), exact=after.exact and before.exact)


def _text(saved: Saved) -> str:
    return "none" if saved.text is None else safe(saved.text, 40)


def _old(saved: Saved) -> EntryView | None:
    if saved.is_first:
        return None
    return entry_view(saved.entry_id) if saved.is_readable else EntryView(id=safe(saved.text, 40), time=None)


def _new(target: Target) -> EntryView:
    return entry_view(target.offset) or EntryView(id=str(target.offset), time=None)


def _undo(opened: Session, saved: Saved) -> str:
    if not saved.is_readable:
        return ""
    back = ["--to-start"] if saved.is_first else ["--to-id", str(saved.entry_id)]
    return opened.command("offset", "reset", *back)


def _status_changes(opened: Session, target: Target, state: StreamState, entries: int) -> list[GamePlanView]:
    """Which statuses a re-run would change, by running it without effects (I10)."""
    job = Job(start=target.offset.after(), until=state.last_generated, batch_size=opened.settings.batch_size, tries=3)
    with opened.progress("planning", entries) as (stop, count):
        found = dry_run(opened.parts, job, stop, count)
        if stop.is_set():
            raise KeyboardInterrupt
    return found.status_changes()


def move(opened: Session, saved: Saved, target: Target, view: ResetView, *, reason: str, yes: bool) -> ResetView:
    """Set the offset if it still is what was shown; with `yes`, whatever a busy consumer has made of it meanwhile.

    In the direction that was shown, that is: a consumer that has passed the target would be set back.
    """
    shown = saved
    for _ in range(TRIES if yes else 1):
        last = _last_commit(opened.parts.ledger.found())  # an idle consumer's is another one every minute
        if apply(opened, saved, target.offset, reason=reason, undo=_undo(opened, saved)):
            break
        saved = opened.parts.ledger.found()
        if _direction(saved, target) != view.direction:
            target = _target_by_now(opened, saved, target, view)
            if target.offset == saved.entry_id:
                stayed = {"direction": "nowhere", "entries": 0, "exact": True}
                return view.model_copy(update={"old": _old(saved), "new": _new(target), **stayed})
    else:
        raise Refused(
            f"the offset has moved to {_text(saved)} since it was shown; nothing was changed",
            hint="a busy consumer moves it all the time: "
            + ("stop it first, or run this closer to Redis" if yes else "look again, then add --yes"),
        )
    again = saved is not shown
    moved = {"old": _old(saved), "new": _new(target), "undo": _undo(opened, saved), "applied": True}
    view = view.model_copy(update={**moved, "exact": view.exact and not again})
    return _moved(opened, saved if again else None, target, view, last)


def _moved(opened: Session, old: Saved | None, target: Target, view: ResetView, last: str | None) -> ResetView:
    """Look what came of the move; what cannot be seen stays unknown, as the move is done all the same.

    `old`: the offset that was left, None where it is the one that was shown; `last`: the commit before the move.
    """
    try:
        if old is not None:
            between = _between(opened, old, target, opened.parts.stream.state())
            view = view.model_copy(update={"entries": between.entries, "exact": between.exact})
        if view.consumer:
            view = view.model_copy(update={"followed_by": _followed(opened, last, target.offset)})
            if view.followed_by is None:
                opened.say(f"the consumer ({view.consumer}) has not followed yet: look at {opened.command('status')}")
    except KeyboardInterrupt:
        opened.say(f"the offset is now {target.offset}: {then(opened, view.undo)}")
        raise
    except GmhealthError as error:
        opened.say(f"what came of it is not known: {error}; look at {opened.command('status')}")
    return view


def _target_by_now(opened: Session, saved: Saved, target: Target, view: ResetView) -> Target:
    """Where the end is by now, if that was wanted; refuses a place that lies on the other side of the offset."""
    if target.is_end:
        target = target._replace(offset=opened.parts.stream.state().last_generated)
        if _direction(saved, target) in (view.direction, "nowhere"):
            return target
    lies = RELATIONS[_direction(saved, target)]
    raise Refused(
        f"the offset has moved to {_text(saved)} since it was shown, which {lies} {target.offset}; nothing was changed",
        hint="run it again to see what it would do now",
    )


def _last_commit(saved: Saved) -> str | None:
    return None if saved.record is None else saved.record.id


def _followed(opened: Session, last: str | None, new: EntryId) -> str | None:
    """Wait for a commit after the one called `last` that goes on from `new` (I6); returns whose it is, if one comes."""
    deadline = time.monotonic() + FOLLOWS_WITHIN_S
    while time.monotonic() < deadline:
        record = opened.parts.ledger.saved().record
        if record is not None and record.id != last and record.entry_id is not None and record.entry_id >= new:
            return record.worker
        time.sleep(0.02)
    return None


def apply(opened: Session, saved: Saved, new: EntryId, *, reason: str, undo: str) -> bool:
    """Set the offset if it still is `saved`; False if it moved. Says so where it may have been set all the same."""
    may_be = f"the offset may be {new} now: {then(opened, undo)}"
    reset = Reset(saved, new, _who(), safe(reason), time.time_ns() // 1_000_000)
    try:
        return _applied(opened, reset, may_be)
    except KeyboardInterrupt:
        opened.say(may_be)
        raise


def then(opened: Session, undo: str) -> str:
    """What to do about an offset that has moved."""
    return f"look at {opened.command('offset', 'show')}" + (f"; undo it with {undo}" if undo else "")


def _applied(opened: Session, reset: Reset, may_be: str) -> bool:
    resets: RedisReset = opened.parts.reset
    try:
        return resets.apply(reset)
    except Unavailable as error:
        # Not the offset tells: a live consumer may have moved it on since then.
        try:
            if resets.applied(reset):
                return True
            show = opened.command("offset", "show")
            error.hint = f"it was not moved, the audit does not have it: look at {show}, then try again"
        except GmhealthError:
            error.hint = may_be
        raise


def _who() -> str:
    try:
        user = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # a container may run as a user that has no name
        user = f"uid {os.getuid()}"
    return safe(f"{user}@{socket.gethostname()}")
