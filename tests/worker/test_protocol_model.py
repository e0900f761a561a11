"""The protocol, searched through: what it keeps, that each of its rules is needed, and where it is known to fail."""

from __future__ import annotations

import pytest

from tests.worker.protocol_search import search
from tests.worker.protocol_world import Bounds

ONE = Bounds("xsr")
TWO = Bounds("xsr", workers=2)
FENCE_ONLY = Bounds("xsr", workers=2, lock=False, crashes=0)


@pytest.mark.parametrize(
    "bounds",
    [
        pytest.param(ONE._replace(lost=2), id="two answers lost, a crash and a reset"),
        pytest.param(ONE._replace(lost=2, batch=2), id="the same with larger batches"),
        pytest.param(ONE._replace(batch=3, late=True), id="all in one batch, and a commit that comes late"),
        pytest.param(ONE._replace(batch=2, late=True), id="batches of two, and a commit that comes late"),
        pytest.param(Bounds("xsrx", crashes=2, batch=2), id="two crashes"),
        pytest.param(ONE._replace(crashes=0, resets=2, batch=2), id="two resets"),
        pytest.param(ONE._replace(resets=0, others=2), id="Game Master generates a turn meanwhile"),
        pytest.param(ONE._replace(resets=0, others=2, batch=2), id="the same with larger batches and Game Master"),
    ],
)
def test_one_worker_keeps_every_invariant(bounds: Bounds) -> None:
    assert search(bounds)[1:] == ("", ())


@pytest.mark.parametrize(
    "bounds",
    [
        pytest.param(TWO._replace(resets=0, arrived=0), id="entries come as time goes by"),
        pytest.param(TWO._replace(crashes=0, batch=2), id="an operator resets"),
        pytest.param(TWO._replace(batch=3), id="a crash and a reset"),
        pytest.param(TWO._replace(lost=2, resets=0, batch=2), id="an answer and a session lost, and a crash"),
        pytest.param(TWO._replace(resets=0, batch=2, others=2), id="Game Master generates a turn meanwhile"),
    ],
)
def test_a_worker_and_its_standby_keep_every_invariant(bounds: Bounds) -> None:
    assert search(bounds)[1:] == ("", ())


@pytest.mark.parametrize(
    "bounds",
    [
        pytest.param(FENCE_ONLY._replace(resets=0), id="an answer is lost"),
        pytest.param(FENCE_ONLY._replace(lost=0, entries="xs"), id="an operator resets"),
        pytest.param(FENCE_ONLY._replace(lost=0, batch=3), id="an operator resets what was all one batch"),
    ],
)
def test_the_fence_alone_keeps_two_active_workers_from_losing_anything(bounds: Bounds) -> None:
    assert search(bounds)[1:] == ("", ())


@pytest.mark.parametrize(
    ("rules", "broken", "bounds"),
    [
        ("one atomic step", "I1", ONE),
        ("write before publishing", "I1", ONE),
        ("fence", "I6", ONE._replace(lost=0)),
        ("fence", "I5", FENCE_ONLY._replace(lost=0, resets=0)),
        ("mark in the fence", "I3", ONE._replace(late=True)),
        ("mark in the fence", "I3", TWO._replace(crashes=0, batch=2)),
        ("quiet about marks", "livelock", FENCE_ONLY._replace(lost=0, resets=0)),
        # An operator sets the very ID of a batch in doubt: its outcome is told by the mark, and the offset was moved.
        ("outcome told by the mark, owed when following", "I3", ONE._replace(crashes=0)),
        ("repair", "I3", ONE),
        ("debounce dropped on a retry", "I3", ONE._replace(resets=0)),
        ("debounce cleared with the lock", "I3", TWO._replace(resets=0, arrived=2)),
        ("commit in doubt forgotten with the lock", "I3", TWO._replace(lost=2, resets=0, batch=2)),
        ("skipped entries owed", "I3", ONE._replace(lost=0)),
        ("skipped entries owed", "I3", TWO._replace(crashes=0)),
        ("owed when following", "I3", ONE._replace(lost=0)),
    ],
)
def test_each_rule_is_needed(rules: str, broken: str, bounds: Bounds) -> None:
    assert search(bounds._replace(without=frozenset(rules.split(", ")))).broken == broken


def test_remembering_too_early_loses_a_transition_where_a_retry_does_not_forget() -> None:
    # Alone it cannot: whatever fails after the plan makes a retry, and that drops what was remembered.
    early = frozenset({"debounce remembered last"})
    assert search(Bounds("x", without=early)).broken == ""
    assert search(Bounds("x", without=frozenset({"debounce dropped on a retry"}))).broken == ""
    assert search(Bounds("x", without=early | {"debounce dropped on a retry"})).broken == "I3"


def without(rules: str, bounds: Bounds) -> str:
    """How the shortest trace ends when these rules are left out."""
    return ", ".join(search(bounds._replace(without=frozenset(rules.split(", ")))).trace[-4:])


def test_an_outcome_told_by_the_offset_is_wrong_when_an_operator_sets_that_very_id() -> None:
    end = without("outcome told by the mark, owed when following", ONE._replace(crashes=0))
    assert end.startswith("0: write, 0: commit never sent (fails), reset to 3, 0: settle")


def test_who_takes_over_must_look_at_what_was_skipped_before_and_after() -> None:
    assert without("skipped entries owed", ONE._replace(lost=0)) == "0: crash, 0: lock, reset to 3, 0: settle"
    assert without("owed when following", ONE._replace(lost=0)) == "0: settle, reset to 3, 0: read, 0: commit"


def test_the_known_hole_without_the_lock_a_worker_can_die_on_what_the_other_has_passed() -> None:
    found = search(FENCE_ONLY._replace(lost=0, resets=0, crashes=1))
    assert found.broken == "I3"
    end = ["1: write", "0: write", "0: commit", "1: crash", "1: settle"]
    assert list(found.trace[-5:]) == end
