"""The rules of event types and statuses, against the oracle, the README's table and design 2.3 as it is written."""

from __future__ import annotations

import re

import pytest

from gmhealth.core.rules import ALLOWED, EventType, Status, Summary, Transition
from scripts.oracle import SUMMARIES, TRANSITIONS
from tests.daemon import ROOT

STATUSES = """
starting -> running
running -> generation_in_progress | engine_unreachable | stopped
generation_in_progress -> running | generation_failed | finished | stopped
generation_failed -> generation_in_progress | stopped
engine_unreachable -> running | stopped
stopped ->
finished ->
"""


def test_each_event_does_what_the_oracle_says() -> None:
    assert {str(kind): str(kind.summary) for kind in EventType} == SUMMARIES
    moving = {str(kind): kind.transition for kind in EventType if kind.transition is not None}
    assert {kind: (str(each.expected), str(each.target)) for kind, each in moving.items()} == TRANSITIONS


def test_the_readme_has_a_row_for_each_event() -> None:
    rows = re.findall(r"(?m)^\| `(\w+)` \| `(\w+)` \| (.*) \|$", (ROOT / "README.md").read_text())
    shown = {kind: (summary, tuple(re.findall(r"\w+", status))) for kind, summary, status in rows if kind in SUMMARIES}
    assert shown == {kind: (summary, TRANSITIONS.get(kind, ("stays",))) for kind, summary in SUMMARIES.items()}


def test_every_summary_comes_from_some_event() -> None:
    assert {kind.summary for kind in EventType} == set(Summary)


def test_the_table_of_statuses_is_the_designs() -> None:
    lines = [line.split("->") for line in STATUSES.strip().splitlines()]
    expected = {source.strip(): set(targets.replace("|", " ").split()) for source, targets in lines}
    assert {str(source): {str(target) for target in targets} for source, targets in ALLOWED.items()} == expected


@pytest.mark.parametrize("source", Status)
@pytest.mark.parametrize("target", Status)
def test_only_allowed_transitions_can_be_made(source: Status, target: Status) -> None:
    if target in ALLOWED[source]:
        assert Transition(source, target).target == target
    else:
        with pytest.raises(ValueError, match=f"{source} -> {target} is not an allowed transition"):
            Transition(source, target)
