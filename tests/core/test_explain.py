"""Explanations agree with the fold, whatever the events: where they name an outcome, it is the one there was."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmhealth.core.continuity import StreamState
from gmhealth.core.entry import START, EntryId
from gmhealth.core.events import HealthEvent
from gmhealth.core.explain import UNKNOWN, explain_read, explain_unread
from gmhealth.core.lag import Lag, estimated_lag, known_lag
from gmhealth.core.plan import Outcome, Row, plan_for
from gmhealth.core.rules import EventType
from gmhealth.core.snapshot import Snapshot
from tests.strategies import statuses

kinds = st.lists(st.sampled_from(EventType), min_size=1, max_size=8)
SEEN = Snapshot("g", 1, "stopped", "healthy", 0)


def numbered(types: list[EventType]) -> list[HealthEvent]:
    return [HealthEvent(f"{n}-0".encode(), "g", kind, n) for n, kind in enumerate(types, start=1)]


@given(kinds, statuses, st.integers(0, 8))
def test_what_is_told_of_read_events_is_what_they_did(types: list[EventType], status: str, hidden: int) -> None:
    """With no other writer in between; the first `hidden` events are out of sight."""
    events = numbered(types)
    plan = plan_for(events, {"g": Row(status, 1, "")}, {})
    first = Snapshot("g", 1, status, "", 0)
    earlier = [step.snapshot for step in plan.steps[:hidden] if step.snapshot]
    later = [step.snapshot for step in plan.steps[hidden:] if step.snapshot]
    told = explain_read(events[hidden:], [*([first, *earlier][-1:]), *later])
    for step, each in zip(plan.steps[hidden:], told, strict=True):
        assert each.outcome in (step.outcome, UNKNOWN)
        assert each.why
    assert [each for each in told if each.outcome == UNKNOWN] == []


@given(kinds, statuses)
def test_without_an_earlier_snapshot_only_the_first_ones_may_be_unknown(types: list[EventType], status: str) -> None:
    events = numbered(types)
    plan = plan_for(events, {"g": Row(status, 1, "")}, {})
    told = explain_read(events, plan.snapshots)
    for step, each in zip(plan.steps, told, strict=True):
        assert each.outcome in (step.outcome, UNKNOWN)
    assert [index for index, each in enumerate(told) if each.outcome == UNKNOWN] in ([], [0])


@given(kinds, statuses)
def test_what_is_told_of_unread_events_is_what_the_fold_plans(types: list[EventType], status: str) -> None:
    events = numbered(types)
    plan = plan_for(events, {"g": Row(status, 1, "")}, {"g": "healthy"})
    told = explain_unread(events, Row(status, 1, ""), "healthy")
    assert [each.outcome for each in told] == [step.outcome for step in plan.steps]
    assert [("sends a snapshot" in each.why) for each in told] == [step.snapshot is not None for step in plan.steps]


def test_nothing_is_told_of_nothing() -> None:
    assert explain_unread([], Row("running", 1, ""), None) == explain_read([], [SEEN]) == []


def test_a_status_that_was_there_already_is_a_conflict() -> None:
    [event] = numbered([EventType.CONTAINER_OOM])
    before = Snapshot("g", 1, "engine_unreachable", "exited", 0)
    [told] = explain_read([event], [before, Snapshot("g", 1, "engine_unreachable", "oom", 1)])
    assert told.outcome == Outcome.CONFLICT


FULL = StreamState(
    exists=True,
    length=100,
    entries_added=100,
    first=EntryId(1000, 0),
    last=EntryId(2000, 0),
    last_generated=EntryId(2000, 0),
)


def test_a_lag_is_known_at_the_ends() -> None:
    assert known_lag(START, FULL) == known_lag(EntryId(999, 0), FULL) == Lag(100, exact=True)
    assert known_lag(EntryId(2000, 0), FULL) == known_lag(EntryId(9999, 0), FULL) == Lag(0, exact=True)
    assert known_lag(EntryId(1500, 0), FULL) is None
    assert known_lag(EntryId(5, 0), StreamState()) == Lag(0, exact=True)


@pytest.mark.parametrize(("entries_read", "lag"), [(1, 99), (60, 40), (99, 1)])
def test_a_lag_in_the_middle_is_what_was_added_and_not_read(entries_read: int, lag: int) -> None:
    assert known_lag(EntryId(1500, 0), FULL, entries_read) == Lag(lag, exact=True)


@pytest.mark.parametrize("entries_read", [100, 101, 5000])
def test_a_count_that_is_not_of_this_stream_tells_no_lag(entries_read: int) -> None:
    assert known_lag(EntryId(1500, 0), FULL, entries_read) is None


@given(st.integers(1000, 2000), st.integers(0, 100))
def test_an_estimate_is_marked_and_stays_in_bounds(ms: int, counted: int) -> None:
    lag = estimated_lag(EntryId(ms, 0), FULL, counted)
    assert not lag.exact
    assert counted <= lag.entries <= 100
