"""The table of statuses, against design 2.3 as it is written there."""

from __future__ import annotations

import pytest

from gmhealth.core.status import ALLOWED, Status, Transition

DESIGN = """
starting -> running
running -> generation_in_progress | engine_unreachable | stopped
generation_in_progress -> running | generation_failed | finished | stopped
generation_failed -> generation_in_progress | stopped
engine_unreachable -> running | stopped
stopped ->
finished ->
"""


def test_the_table_is_the_designs() -> None:
    lines = [line.split("->") for line in DESIGN.strip().splitlines()]
    expected = {source.strip(): set(targets.replace("|", " ").split()) for source, targets in lines}
    assert {str(source): {str(target) for target in targets} for source, targets in ALLOWED.items()} == expected


@pytest.mark.parametrize("source", Status)
@pytest.mark.parametrize("target", Status)
def test_only_allowed_transitions_can_be_made(source: Status, target: Status) -> None:
    if target in ALLOWED[source]:
        assert Transition(source, target).target == target
    else:
        with pytest.raises(ValueError, match=f"{source} -> {target}"):
            Transition(source, target)


@pytest.mark.parametrize("status", Status)
def test_no_status_follows_itself(status: Status) -> None:
    with pytest.raises(ValueError, match="not an allowed transition"):
        Transition(status, status)
