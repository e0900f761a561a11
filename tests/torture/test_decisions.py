"""What a seed decides: every kind as often as any other, the same every time."""

from __future__ import annotations

from collections import Counter

from scripts.torturing.campaign import Plan, decisions
from scripts.torturing.kinds import KINDS
from scripts.torturing.moments import Moment, Side, Trigger, Verdict


def test_a_seed_and_a_lane_decide_everything() -> None:
    plan = Plan(seed=7, lane=1, faults=200)
    assert list(decisions(plan)) == list(decisions(plan))
    assert list(decisions(plan)) != list(decisions(Plan(seed=7, lane=2, faults=200)))
    assert list(decisions(plan)) != list(decisions(Plan(seed=8, lane=1, faults=200)))


def test_every_kind_comes_as_often_as_any_other() -> None:
    found = Counter(decision.kind.name for decision in decisions(Plan(1, 0, 10 * len(KINDS))))
    assert found == {kind.name: 10 for kind in KINDS}


def test_every_gap_between_two_steps_is_among_the_moments() -> None:
    steps = {"read", "write", "publish"}
    gaps = {Moment(step, side) for step in steps for side in Side}
    for kind in KINDS:
        if kind.name in ("kill -9", "SIGTERM", "SIGSTOP, past the session", "offset reset back"):
            assert set(kind.moments()) == gaps


def test_a_trigger_strikes_once_at_the_message_it_waits_for() -> None:
    trigger = Trigger(Moment("write", Side.BEFORE), 2, lambda _link, _raw: Verdict(), games=2)
    two = b"game-0001, game-0002"
    assert not trigger.reached(Moment("write", Side.AFTER), two)
    assert not trigger.reached(Moment("write", Side.BEFORE), b"game-0001 game-0001")
    assert [trigger.reached(Moment("write", Side.BEFORE), two) for _ in range(4)] == [False, True, False, False]


def test_a_trigger_takes_another_message_when_its_own_does_not_come() -> None:
    trigger = Trigger(Moment("load", Side.BEFORE), 3, lambda _link, _raw: Verdict())
    trigger.relax(frozenset({"alive"}))
    assert not trigger.reached(Moment("alive", Side.AFTER), b"")
    assert trigger.reached(Moment("alive", Side.BEFORE), b"")
