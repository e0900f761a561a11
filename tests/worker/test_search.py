"""Every fault, and every pair of them, at every call of two scenes: the invariants hold (design 3.2, 3.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice, product

import pytest

from gmhealth.core.continuity import Place
from gmhealth.core.events import HealthEvent
from gmhealth.core.rules import EventType
from gmhealth.worker import repair
from gmhealth.worker.ports import Commit, Meanwhile, Saved, nothing
from gmhealth.worker.repair import Repairs, Settler
from gmhealth.worker.settle import Course, Unfit, decide
from gmhealth.worker.writer import Writer, Written
from tests.worker.memory import Ports, Redis
from tests.worker.search import AT_COMMITS, Fault, Placed, Run, Scene

OOM, RECOVERED, FAILED = EventType.CONTAINER_OOM, EventType.PROBE_RECOVERED, EventType.PROBE_FAILED
ONE = Scene([("game-a", OOM), ("game-b", OOM), ("game-a", RECOVERED), ("game-b", FAILED)])
TWO = Scene([("game-a", OOM), ("game-a", RECOVERED), ("game-a", OOM)], workers=2)
SCENES = pytest.mark.parametrize("scene", [ONE, TWO], ids=["one", "two"])
NEAR = 7
"""Calls between a pause and another fault: the pause, and what follows it at first. Further apart each is alone."""
SHARES = 8
"""Of the pairs, so that several processes have something to do."""


def one_more(scene: Scene, faults: Sequence[Placed] = ()) -> Iterator[list[Placed]]:
    """These faults, and another one at every call of the run with them that comes no earlier."""
    run = Run(scene, faults)
    run.play()
    first = faults[-1].at if faults else 1
    for (at, name), fault in product(enumerate(run.calls, start=1), Fault):
        if at >= first and (fault not in AT_COMMITS or name == "ledger.commit"):
            yield [*faults, Placed(at, fault)]


def pairs(scene: Scene, *, share: int = 0, shares: int = 1) -> Iterator[list[Placed]]:
    """Every pair of faults; of a pause and another one, those that are near each other."""
    for single in islice(one_more(scene), share, None, shares):
        yield from (pair for pair in one_more(scene, single) if not apart(*pair))


def apart(first: Placed, second: Placed) -> bool:
    """Whether one of them is a pause, and nothing of it is left when the other one comes."""
    return Fault.PAUSED in (first.fault, second.fault) and second.at - first.at > NEAR


def failures(scene: Scene, faults: Sequence[Placed]) -> list[str]:
    """What does not hold after these faults."""
    run = Run(scene, faults)
    run.play()
    return [f"{faults}: {each}" for each in run.violations()]


@SCENES
def test_without_a_fault_each_event_is_published_once(scene: Scene) -> None:
    run = Run(scene)
    run.play()
    assert list(run.violations()) == []
    assert len(run.redis.now.published) == len(scene.events)
    assert run.calls.count("rows.write") == len(scene.events) // 2 + len(scene.events) % 2


@SCENES
def test_whatever_fault(scene: Scene) -> None:
    assert [each for faults in one_more(scene) for each in failures(scene, faults)] == []


@pytest.mark.timeout(600)  # half a minute, on a machine that has nothing else to do
@pytest.mark.parametrize("share", range(SHARES))
@SCENES
def test_whatever_two_faults(scene: Scene, share: int) -> None:
    assert [each for faults in pairs(scene, share=share, shares=SHARES) for each in failures(scene, faults)] == []


def offset_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The offset is moved in a step of its own, before the snapshots."""
    whole = Ports.commit

    def commit(self: Ports, commit: Commit, meanwhile: Meanwhile = nothing) -> Saved | None:
        if commit.offset is None or not commit.snapshots:
            return whole(self, commit, meanwhile)
        first = replace(commit, snapshots=(), writes=b"")
        if (refused := whole(self, first, meanwhile)) is not None:
            return refused
        fence = Saved(str(commit.offset), commit.record.pack())
        return whole(self, replace(commit, fence=fence, offset=None), nothing)

    monkeypatch.setattr(Ports, "commit", commit)


def debounce_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is published is remembered before it is, and over faults."""
    write = Writer.write

    def remembering(self: Writer, events: Sequence[HealthEvent], since: str, meanwhile: Meanwhile = nothing) -> Written:
        written = write(self, events, since, meanwhile)
        self.published(written.plan)
        return written

    monkeypatch.setattr(Writer, "write", remembering)
    monkeypatch.setattr(Writer, "forget", lambda _: None)


def no_fence(monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit applies whatever stands."""
    monkeypatch.setattr(Redis, "fenced", False)


def no_settling(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a fault the worker reads on from the offset, and that is all."""
    settle = Settler.settle

    def looking(self: Settler, saved: Saved) -> tuple[Saved, Place] | None:
        return settle(self, saved) if saved.record is None else (saved, Place(saved.entry_id))

    monkeypatch.setattr(Settler, "settle", looking)


def no_publishing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that changed since the last commit are not published."""
    monkeypatch.setattr(Settler, "_untold", lambda *_: iter(()))


def no_repair(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that lost a write stay as they are."""
    monkeypatch.setattr(Settler, "_repair", lambda _self, at, _course: Repairs(at))


def nothing_in_flight(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a batch in flight has written is taken for what PostgreSQL is left with after a loss."""
    monkeypatch.setattr(repair, "summaries_after", lambda *_: {})


def no_verification(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another server is taken for the one that was written to."""

    def blind(*args: object) -> Course | Unfit:
        course = decide(*args)  # type: ignore[arg-type]
        return replace(course, verify=False, prepare=False) if isinstance(course, Course) else course

    monkeypatch.setattr(repair, "decide", blind)


@pytest.mark.timeout(600)  # some seconds, on a machine that has nothing else to do
@pytest.mark.parametrize(
    "mutate",
    [offset_first, debounce_first, no_fence, no_settling, no_publishing, no_repair, nothing_in_flight, no_verification],
)
def test_each_rule_is_needed(mutate: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    mutate(monkeypatch)
    tried = ((scene, faults) for scene in (ONE, TWO) for faults in chain(one_more(scene), pairs(scene)))
    assert any(broken(scene, faults) for scene, faults in tried)


def broken(scene: Scene, faults: Sequence[Placed]) -> bool:
    """Whether something does not hold after these faults, or the run does not end."""
    try:
        return bool(failures(scene, faults))
    except AssertionError:
        return True
