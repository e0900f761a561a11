"""A lane's course: faults in shuffled order, in runs; after each run the stream is drained and judged."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

import psycopg

from scripts.torturing import game_master, versions
from scripts.torturing.consumer import ROOT, Unwanted
from scripts.torturing.effects import LOBBY, Effects
from scripts.torturing.history import Evidence
from scripts.torturing.judge import Judge
from scripts.torturing.kinds import KINDS, Kind
from scripts.torturing.lane import FEED_EVERY_S, SLOWLY_S, Lane, Missed
from scripts.torturing.moments import Moment, Trigger, Verdict, games_in
from scripts.torturing.proxy import Link
from scripts.torturing.reports import Violation
from scripts.torturing.site import Site, Stuck

RELAX_AFTER_S: Final = 1.5
STUCK_AFTER_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do in a lane: all decisions come from the seed and the lane's number.

    `run`: so many faults, between these, make a run. `calm_s`: steady load before each fault. `seconds`: no new run
    after that.
    """

    seed: int
    lane: int
    faults: int
    kinds: Sequence[Kind] = tuple(KINDS)
    package: Path = ROOT
    run: tuple[int, int] = (5, 14)
    calm_s: float = 0.0
    seconds: float = float("inf")


class Decision(NamedTuple):
    """One fault, decided on before anything is known of how the run goes."""

    kind: Kind
    moment: Moment
    nth: int
    size: float


@dataclass(frozen=True, slots=True)
class Struck:
    """A fault that was injected; `seen` if the consumer said something about it."""

    kind: str
    moment: Moment
    seconds: float
    seen: bool = False


@dataclass(frozen=True, slots=True)
class Judged:
    """A run that was drained; what it found, and what there was to judge."""

    run: int
    kinds: Sequence[str]
    violations: Sequence[Violation]
    snapshots: int


def decisions(plan: Plan) -> Iterator[Decision]:
    """Deal every kind once, in another order each time, until there are enough."""
    random = Random(f"{plan.seed} faults {plan.lane}")
    dealt = 0
    while dealt < plan.faults:
        for kind in random.sample(plan.kinds, len(plan.kinds))[: plan.faults - dealt]:
            yield Decision(kind, random.choice(kind.moments()), random.randrange(1, 4), random.random())
            dealt += 1


class Campaign:
    """Carries a plan out on a site."""

    def __init__(self, plan: Plan, site: Site, evidence: Path, tell: Callable[[Struck | Judged], None]) -> None:
        self._plan, self._site, self._evidence, self._tell = plan, site, evidence, tell
        self.lane = Lane(site, evidence, seed=plan.seed, number=plan.lane, package=plan.package)
        versions.prepare(site)
        self._judge = Judge(versions.rows(site))
        self._effects, self._version = Effects(site.aof), 0
        self._master = Random(f"{plan.seed} game master {plan.lane}")
        self._runs = self._said = 0
        self._last: Struck | None = None
        self._trouble: list[Violation] = []

    def carry_out(self) -> None:
        """Do all of it."""
        plan, end = self._plan, time.monotonic() + self._plan.seconds
        random = Random(f"{plan.seed} runs {plan.lane}")
        left = decisions(plan)
        with closing(self.lane):
            self.lane.start_consumer()
            while time.monotonic() < end and (run := list(islice(left, random.randint(*plan.run)))):
                self._run(run)

    def _run(self, run: Sequence[Decision]) -> None:
        self._runs += 1
        self.lane.fence_only = False
        self._trouble = []
        with game_master.at_work(self._site, self._master):
            for decision in run:
                self.lane.pause(self._plan.calm_s, feed_every_s=FEED_EVERY_S)
                self._guarded(lambda: self._inject(decision))  # noqa: B023
        self._guarded(self._calm_down)
        self._tell_last()
        evidence = self._collect()
        found = [*self._trouble, *self._judge.judge(evidence)]
        snapshots = int(self._site.ask("XLEN", LOBBY))
        self._tell(Judged(self._runs, [decision.kind.name for decision in run], found, snapshots))
        if found:
            self._keep(run, found, evidence)

    def _guarded(self, act: Callable[[], None]) -> None:
        """A consumer that ends, or does nothing, is a violation; another one goes on."""
        try:
            act()
        except (Unwanted, Stuck) as error:
            self._trouble.append(Violation("runs on", str(error)))
            self.lane.consumer.kill()
            self.lane.start_consumer()

    def _inject(self, decision: Decision) -> None:
        began = time.monotonic()
        while (struck_at := self._strike(decision)) is None:
            self.lane.pause(FEED_EVERY_S)
        self._last = Struck(decision.kind.name, struck_at, time.monotonic() - began)

    def _tell_last(self) -> None:
        """Tell of a fault when the next one strikes: by then the consumer has said what it has to say about it."""
        if self._last is not None:
            said = self.lane.consumer.said()
            self._tell(replace(self._last, seen=said > self._said))
            self._last, self._said = None, said

    def _strike(self, decision: Decision) -> Moment | None:
        kind, lane = decision.kind, self.lane
        try:
            course = kind.course(lane, decision.size)
        except Missed:
            return None

        def strike(link: Link, raw: bytes) -> Verdict:
            lane.link, lane.raw = link, raw
            verdict = next(course)
            self._tell_last()
            return verdict

        trigger = Trigger(decision.moment, decision.nth, strike, kind.games)
        lane.proxy.trigger = trigger
        try:
            self._await(trigger, kind)
            next(course, None)
        except (Missed, psycopg.OperationalError):  # the harness, too, finds PostgreSQL in recovery now and then
            course.close()
            return None
        return trigger.struck_at

    def _await(self, trigger: Trigger, kind: Kind) -> None:
        began, waited = time.monotonic(), 0.0
        while not trigger.done.wait(FEED_EVERY_S if waited < RELAX_AFTER_S else SLOWLY_S):
            if trigger.struck_at is None:  # from then on it may have been killed
                self.lane.consumer.check()
            self.lane.feeder.feed()
            waited = time.monotonic() - began
            if waited > RELAX_AFTER_S:
                trigger.relax(kind.otherwise())
            if waited > STUCK_AFTER_S:
                raise Stuck(f"nothing came by for {kind.name} at {trigger.moment}")
        if trigger.error is not None:
            raise trigger.error

    def _calm_down(self) -> None:
        """Drain, and once more with nothing in the way: whatever is left to do is done then."""
        for weather in self.lane.proxy.weather.values():
            weather.delayed = weather.sliced = 0
        self.lane.drain()
        self.lane.feeder.feed(3)
        self.lane.drain()

    def _collect(self) -> Evidence:
        lane = self.lane
        found = versions.after(self._site, self._version)
        self._version = max([self._version, *(version.n for version in found)])
        published = [proxy.published.popleft() for proxy in (lane.proxy, lane.second_proxy) for _ in [*proxy.published]]
        return Evidence(
            effects=list(self._effects.read()),
            versions=found,
            wire=sorted(published),
            disturbed=sorted(lane.proxy.disturbed + lane.second_proxy.disturbed),
            rows=versions.rows(self._site),
            lobby=int(self._site.ask("XLEN", LOBBY)),
            fence_only=lane.fence_only,
        )

    def _keep(self, run: Sequence[Decision], found: Sequence[Violation], evidence: Evidence) -> None:
        """Keep what is needed to understand it: the run, all that Redis did, and the rows in question."""
        lines = [f"seed {self._plan.seed}, lane {self._plan.lane}, run {self._runs}, batch size {self.lane.batch}", ""]
        lines += [f"{d.kind.name}, {d.nth}. {d.moment.kind} {d.moment.side.value}, size {d.size:.3f}" for d in run]
        lines += ["", *(f"{violation.rule}: {violation.text}" for violation in found)]
        games = games_in(" ".join(violation.text for violation in found).encode())
        lines += ["", *(str(version) for version in evidence.versions if version.game_id in games)]
        lines += ["", *(str(effect) for effect in evidence.effects)]
        (self._evidence / f"run-{self._runs}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
