"""Whether the journal has what each event and each write did, in the very commit that published it (design 3.5)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from gmhealth.core.journal import Done, Line, unpack_events, unpack_lines
from scripts.oracle import TRANSITIONS
from scripts.torturing.contract import Folded, microseconds
from scripts.torturing.effects import Fields, Step
from scripts.torturing.history import Entry
from scripts.torturing.reports import Violation
from scripts.torturing.versions import Version

RULE = "journal"


def judge_events(
    step: Step, entries: Sequence[Entry], folded: Mapping[int, tuple[str, Folded]], refused: Collection[str]
) -> Iterator[Violation]:
    """Judge a batch's line; `folded` has, by the event's time, the status before it and what it did.

    `refused` are the games whose rows PostgreSQL refused.
    """
    sent = {one.at for one in step.sent}
    expected = []
    for entry_id, _, event in entries:
        if event is None:
            continue
        if event.at not in folded:
            outcome = "refused" if event.game_id in refused else "no_row"
            expected.append(Done(str(entry_id), outcome, "", "", published=False))
            continue
        before, done = folded[event.at]
        outcome = "swapped" if done.swapped else "conflict" if event.kind in TRANSITIONS else "health_only"
        expected.append(Done(str(entry_id), outcome, before, done.status, event.at in sent))
    if _done(step) != expected:
        yield Violation(RULE, f"{step.record} says {_done(step)}, expected {expected}")


def judge_repairs(step: Step) -> Iterator[Violation]:
    """Judge the line of a commit that publishes rows as they stand."""
    expected = [Done(one.game_id, "repair", one.status, one.status, published=True) for one in step.sent]
    if _done(step) != expected:
        yield Violation(RULE, f"{step.record} says {_done(step)}, expected {expected}")


def judge_writes(
    step: Step,
    versions: Mapping[str, Version],
    targets: Mapping[str, str] | None,
    *,
    unknown: Collection[str] = (),
) -> Iterator[Violation]:
    """Judge what is kept of the rows: these versions, by game; `targets` None: published only, without an event.

    What is to be kept of the games in `unknown` is not known.
    """
    lines = [line for line in lines_of(step.writes) if line.game_id not in unknown]
    expected = {
        game_id: _kept(one, None if targets is None else targets[game_id])
        for game_id, one in versions.items()
        if game_id not in unknown
    }
    found = {line.game_id: line._replace(updated_at=str(microseconds(line.updated_at))) for line in lines}
    if found != expected:
        yield Violation(RULE, f"the writes of {step.record} are {found}, expected {expected}")


def _kept(version: Version, target: str | None) -> Line:
    """The line of a version; one that was not written by this commit's batch is only published as it stands."""
    written = target is not None
    return Line(
        game_id=version.game_id,
        target=target or "",
        summary=version.health if written else "",
        before=version.old_status if written else version.status,
        status=version.status,
        engine_health=version.health,
        updated_at=str(version.updated_us),
    )


def _done(step: Step) -> list[Done]:
    found = unpack_events(step.journal[b"events"]) if step.journal else []
    return [] if found is None else found


def lines_of(fields: Fields | None) -> list[Line]:
    """Read what a commit says of the rows."""
    return unpack_lines(fields[b"lines"]) if fields else []
