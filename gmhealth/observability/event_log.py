"""Tells the log what the worker did: a line per change of state, none per event above debug."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields
from itertools import islice
from logging import DEBUG, ERROR, INFO, WARNING
from typing import Final

from gmhealth.core.continuity import EntriesLost, RolledBack, StreamBehind, StreamGone, StreamReplaced
from gmhealth.core.entry import EntryId
from gmhealth.core.events import HealthEvent, InvalidEntry
from gmhealth.core.plan import Outcome, Refusal
from gmhealth.observability.logs import LOGGER, log
from gmhealth.worker.events import (
    Active,
    BatchDone,
    BatchHalved,
    Idle,
    OffsetMoved,
    OffsetRestored,
    Paused,
    RecordUnreadable,
    Recovered,
    Report,
    Settled,
    Standby,
    Waiting,
)

MESSAGES = {
    Active: (INFO, "consuming"),
    Standby: (INFO, "standing by: another gmhealth consumes"),
    Paused: (INFO, "paused"),
    OffsetMoved: (WARNING, "somebody else moved the offset; following"),
    OffsetRestored: (
        ERROR,
        (
            "the offset's key was gone and was set again from the commit record; if the stream was to be read from its"
            " start: gmhealth offset reset --to-start"
        ),
    ),
    RecordUnreadable: (
        WARNING,
        "the commit record cannot be read and is made anew; what was written and not published before may stay so",
    ),
    RolledBack: (
        ERROR,
        (
            "Redis lost the last commits, as in a failover; rows written since then are published again, and entries of"
            " the stream may be lost"
        ),
    ),
    EntriesLost: (ERROR, "entries were removed from the stream before they were read"),
    StreamBehind: (
        ERROR,
        "the stream ends before the offset: it was recreated or failed over; reading it from its start",
    ),
    StreamReplaced: (ERROR, "another stream has taken the place of the one that was read; reading it from its start"),
    StreamGone: (ERROR, "the stream is gone; waiting for another"),
    Waiting: (WARNING, "cannot go on for now; trying again"),
    BatchHalved: (
        WARNING,
        (
            "perhaps a batch was too large for a server's limit (Redis: client-output-buffer-limit, maxmemory-clients,"
            " proto-max-bulk-len; PostgreSQL: statement_timeout); trying less at once"
        ),
    ),
    Recovered: (INFO, "going on again"),
}

SHOWN: Final = 5
"""Games of a batch that are named."""


def log_event(report: Report) -> None:
    """Write what `report` says, if it is worth a line."""
    if isinstance(report, BatchDone | Settled):
        _refused(report.refused)
    if isinstance(report, BatchDone):
        _batch(report)
    elif not isinstance(report, Idle):
        level, message = _settled(report) if isinstance(report, Settled) else MESSAGES[type(report)]
        if isinstance(report, Waiting) and report.attempt & (report.attempt - 1):
            level = DEBUG  # said at the tries 1, 2, 4, 8, …: an outage of a day is a dozen lines
        log(level, message, **_fields(report))


def _settled(report: Settled) -> tuple[int, str]:
    if report.repaired:
        return WARNING, "rows had lost writes, as after a failover or crash of PostgreSQL; they were written again"
    if report.published:
        return INFO, "rows that had changed since the last commit were published"
    return DEBUG, "settled: nothing was left to publish or repair"


def _fields(report: Report) -> dict[str, object]:
    if isinstance(report, Paused):
        return {"by": report.who, "until": report.until, "why": report.why}
    return {field.name: _plain(getattr(report, field.name)) for field in fields(report) if field.name != "refused"}


def _plain(value: object) -> object:
    return str(value) if isinstance(value, EntryId) else value


def log_trouble(report: Report) -> None:
    """The same for a command that shows its progress itself: only what is out of order."""
    if not isinstance(report, Active):
        log_event(report)


def _event(event: HealthEvent) -> dict[str, object]:
    return {"entry_id": event.entry_id.decode("latin-1"), "game_id": event.game_id, "type": event.type}


def _id(invalid: InvalidEntry) -> str:
    return invalid.entry_id.decode("latin-1")


def _dead_letters(invalid: Sequence[InvalidEntry]) -> None:
    """A line a batch, however many there are."""
    reasons = Counter(each.reason.value for each in invalid)
    log(
        WARNING,
        "dead letters",
        count=len(invalid),
        first=_id(invalid[0]),
        last=_id(invalid[-1]),
        **dict(sorted(reasons.items())),
    )


def _refused(refused: Mapping[str, Refusal]) -> None:
    for game_id, why in islice(refused.items(), SHOWN):
        log(WARNING, "PostgreSQL refuses the row of a game", game_id=game_id, **why._asdict())
    if len(refused) > SHOWN:
        log(WARNING, "PostgreSQL refuses the rows of more games", count=len(refused) - SHOWN)


def _batch(done: BatchDone) -> None:
    if done.invalid:
        _dead_letters(done.invalid)
    if done.dropped:
        log(WARNING, "old dead letters were dropped to keep to the limit", count=done.dropped)
    if not LOGGER.isEnabledFor(logging.DEBUG):
        return
    for invalid in done.invalid:
        log(DEBUG, "dead letter", entry_id=_id(invalid), reason=invalid.reason.value)
    for step in done.plan.steps:
        if step.outcome is Outcome.CONFLICT:
            log(DEBUG, "conflict: the status is not the expected one", **_event(step.event), status=step.status)
        elif step.outcome is Outcome.NO_ROW:
            log(DEBUG, "no such game", **_event(step.event))
    log(DEBUG, "batch", entries=done.entries, snapshots=len(done.plan.snapshots), last=str(done.last))
