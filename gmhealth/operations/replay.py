"""A replay, planned and run: the plan and the run are the same worker over the same job."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from gmhealth import bootstrap
from gmhealth.errors import GmhealthError, Refused
from gmhealth.observability.event_log import log_trouble
from gmhealth.operations.dry_run import dry_run, games_after
from gmhealth.operations.leader import holder
from gmhealth.operations.models import ReplayView
from gmhealth.operations.position import last_before
from gmhealth.operations.session import Count, Session, no_count
from gmhealth.worker.events import BatchDone, Report
from gmhealth.worker.job import Job

if TYPE_CHECKING:
    from gmhealth.core.entry import EntryId
    from gmhealth.operations.replay_range import Range

TRIES: Final = 8
"""Failures in a row, some ten seconds, after which a replay gives up and says how to go on."""


@dataclass(slots=True)
class Counted:
    """An observer that adds up batches and hands everything else on."""

    others: Callable[[Report], None]
    on: Count = no_count
    entries: int = 0
    snapshots: int = 0
    last: EntryId | None = None

    def __call__(self, report: Report) -> None:
        """Add a batch up."""
        if not isinstance(report, BatchDone):
            self.others(report)
            return
        self.entries += report.entries
        self.snapshots += len(report.plan.snapshots)
        self.last = report.last
        self.on(report.entries)


class ReplayOptions(NamedTuple):
    """How a range is to be run."""

    game_ids: frozenset[str]
    health_only: bool
    no_publish: bool
    rate: float | None
    yes: bool

    def job(self, wanted: Range, batch_size: int) -> Job:
        """The worker's job; with a rate, batches of at most a tenth of a second, as a batch goes out at once."""
        if self.rate is not None:
            batch_size = max(1, min(batch_size, round(self.rate / 10)))
        return Job(
            start=wanted.first,
            until=wanted.last,
            batch_size=batch_size,
            games=self.game_ids or None,
            swap=not self.health_only,
            publish=not self.no_publish,
            rate=self.rate,
            tries=TRIES,
        )

    def words(self) -> list[str]:
        """These as the words of a command line."""
        words = [word for game_id in sorted(self.game_ids) for word in ("--game-id", game_id)]
        words += ["--health-only"] * self.health_only + ["--no-publish"] * self.no_publish
        words += [] if self.rate is None else ["--rate", f"{self.rate:g}"]
        return words + ["--yes"] * self.yes


def refuse_beside_consumer(opened: Session, wanted: Range) -> None:
    """Refuse while somebody holds the leader lock; tell which reset has a live consumer run the range."""
    held = holder(opened.parts)
    if held.replay is not None:
        raise Refused(
            f"another replay holds the leader lock: {held.replay}; nothing was changed",
            hint="wait for its end, or stop it",
        )
    if held.consumer is not None:
        raise Refused(
            f"a live consumer holds the leader lock: {held.consumer}; nothing was changed",
            hint=f"to have it run the range itself: {_reset(opened, wanted)}",
        )


def next_step(opened: Session, wanted: Range) -> str:
    """What to do after a dry run: the replay, or the reset that has a live consumer do it."""
    held = holder(opened.parts)
    if held.replay is not None:
        return "the same without --dry-run, when the replay that is running has ended"
    if held.consumer is None:
        return "the same without --dry-run; with --health-only it leaves statuses alone"
    return f"a consumer is live and can run it, for every game: {_reset(opened, wanted)}"


def _reset(opened: Session, wanted: Range) -> str:
    return opened.command("offset", "reset", "--to-id", str(last_before(opened.parts, wanted.first)))


def plan(opened: Session, wanted: Range, job: Job) -> ReplayView:
    """Rehearse the range over the rows as they are, and look what comes after it. Writes nothing."""
    with opened.progress("planning", wanted.entries) as (stop, count):
        found = dry_run(opened.parts, replace(job, rate=None), stop, count)
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


def run(opened: Session, view: ReplayView, job: Job, options: ReplayOptions) -> ReplayView:
    """Run it for good. What stops it half-way says with which command to go on."""
    done = Counted(log_trouble)

    def resume() -> str:
        first = view.first if done.last is None else str(done.last.after())
        return opened.command("replay", "--from-id", first, "--to-id", view.last, *options.words())

    with opened.progress("replaying", view.entries) as (stop, count):
        done.on = count
        try:
            bootstrap.worker(opened.parts, job, done).run(stop)
        except GmhealthError as error:
            error.hint = f"{done.entries:,} of {view.entries:,} entries are done; go on with: {resume()}"
            raise
        unfinished = stop.is_set() and not _is_last(done.last, job)
    snapshots = done.snapshots if job.publish else 0
    left = resume() if unfinished else None
    return view.model_copy(update={"done": done.entries, "snapshots": snapshots, "resume": left})


def _is_last(last: EntryId | None, job: Job) -> bool:
    return last is not None and job.until is not None and last >= job.until
