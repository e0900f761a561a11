"""One try to move the offset, and what became of it where its answer is lost (design 3.3)."""

from __future__ import annotations

import getpass
import os
import socket
import time
from typing import TYPE_CHECKING

from gmhealth.adapters.redis.reset import RedisReset, Reset
from gmhealth.core.safe import safe
from gmhealth.errors import GmhealthError, Unavailable

if TYPE_CHECKING:
    from gmhealth.core.entry import EntryId
    from gmhealth.operations.session import Session
    from gmhealth.worker.ports import Saved


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
