"""The fold: the same as one event at a time by the decision record, however the stream is split (I2, I10)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import astuple

from gmhealth.core.events import EventType, HealthEvent
from gmhealth.core.plan import Change, Outcome, Plan, Row, fold, shared_row
from gmhealth.core.snapshot import Snapshot
from tests.core.model import Consumer, RuntimeRecord, Store
from tests.strategies import GAMES, cuts, event_lists, split, tables

Rows = Mapping[str, Row]
Events = Sequence[HealthEvent]
OOM, EXITED, RECOVERED = EventType.CONTAINER_OOM, EventType.CONTAINER_EXITED, EventType.PROBE_RECOVERED
FAILED, STARTED = EventType.PROBE_FAILED, EventType.CONTAINER_STARTED


def events(*kinds: EventType, game_id: str = "game-a") -> list[HealthEvent]:
    return [HealthEvent(f"{n}-0".encode(), game_id, kind, 100 * n) for n, kind in enumerate(kinds, start=1)]


def applied(rows: Rows, changes: Iterable[Change]) -> dict[str, Row]:
    """The rows after a compare-and-swap that nobody interferes with."""
    after = dict(rows)
    for change in changes:
        row = after[change.game_id]
        assert (row.status, row.current_turn) == (change.expected, change.current_turn)
        after[change.game_id] = Row(change.status, row.current_turn, change.summary)
    return after


def consumed(batches: Iterable[Events], rows: Rows) -> tuple[Rows, list[Snapshot]]:
    """What a worker leaves behind that takes one batch after the other."""
    emitted: dict[str, str] = {}
    snapshots: list[Snapshot] = []
    for batch in batches:
        plan = fold(batch, rows, emitted)
        rows = applied(rows, plan.changes)
        emitted.update((change.game_id, change.summary) for change in plan.changes)
        snapshots += plan.snapshots
    return rows, snapshots


@settings(max_examples=500)
@given(event_lists, tables, cuts)
def test_the_fold_is_the_record_one_event_at_a_time(stream: Events, rows: Rows, at: list[int]) -> None:
    model = Consumer(Store({game_id: RuntimeRecord(*astuple(row)) for game_id, row in rows.items()}))
    for event in stream:
        model.handle_message(event.game_id, event.type.value, event.occurred_at_ms)

    rows, snapshots = consumed(split(stream, at), rows)

    records = model.store.records
    assert rows == {game: Row(row.status, row.current_turn, row.engine_health) for game, row in records.items()}
    assert [list(snapshot.fields().items()) for snapshot in snapshots] == model.published


@settings(max_examples=500)
@given(event_lists, tables, cuts)
def test_how_a_stream_is_split_makes_no_difference(stream: Events, rows: Rows, at: list[int]) -> None:
    assert consumed(split(stream, at), rows) == consumed([stream], rows)


@given(event_lists, tables, st.dictionaries(st.sampled_from(GAMES), st.sampled_from(["healthy", "oom"])))
def test_one_games_events_do_not_touch_another_game(stream: Events, rows: Rows, emitted: dict[str, str]) -> None:
    plan = fold(stream, rows, emitted)
    for game_id in GAMES:
        alone = fold([event for event in stream if event.game_id == game_id], rows, emitted)
        assert [step for step in plan.steps if step.event.game_id == game_id] == alone.steps
        assert [change for change in plan.changes if change.game_id == game_id] == alone.changes


@given(event_lists, tables)
def test_without_swaps_no_status_changes(stream: Events, rows: Rows) -> None:
    plan = fold(stream, rows, {}, swap=False)
    assert all(change.status == change.expected for change in plan.changes)
    assert all(snapshot.runtime_status == rows[snapshot.game_id].status for snapshot in plan.snapshots)
    assert plan.moved == {}


@given(event_lists, tables, st.integers(0, 24), st.integers(1, 3))
def test_running_a_suffix_again_ends_in_the_same_rows(stream: Events, rows: Rows, start: int, times: int) -> None:
    after, _ = consumed([stream], rows)
    assert consumed([stream, *[stream[start:]] * times], rows)[0] == after


@given(event_lists, tables)
def test_who_runs_a_dead_ones_events_again_sees_each_status_that_they_have_moved(stream: Events, rows: Rows) -> None:
    first = fold(stream, rows, {})
    moved = {change.game_id for change in first.changes if change.status != change.expected}
    again = fold(stream, consumed([stream], rows)[0], {})
    assert moved <= again.arrived.keys()
    assert again.moved.keys() <= again.arrived.keys()


@given(event_lists, tables)
def test_there_is_one_change_a_game_in_the_order_of_their_locks(stream: Events, rows: Rows) -> None:
    games = [change.game_id for change in fold(stream, rows, {}).changes]
    assert games == sorted({event.game_id for event in stream} & rows.keys())


@given(event_lists, tables)
def test_there_is_one_step_an_event_in_stream_order(stream: Events, rows: Rows) -> None:
    assert [step.event for step in fold(stream, rows, {}).steps] == stream


@given(event_lists, tables)
def test_the_inputs_are_left_as_they_are(stream: Events, rows: Rows) -> None:
    before, emitted = dict(rows), {"game-a": "oom"}
    fold(stream, rows, emitted)
    assert (rows, emitted) == (before, {"game-a": "oom"})


@given(event_lists, tables, tables, st.sets(st.sampled_from(GAMES)))
def test_what_is_planned_again_takes_its_place_in_stream_order(
    stream: Events, rows: Rows, later: Rows, lost: set[str]
) -> None:
    again = fold([event for event in stream if event.game_id in lost], later, {})
    merged = fold(stream, rows, {}).replaced(again, lost)
    both = {game: row for game, row in rows.items() if game not in lost} | {
        game: row for game, row in later.items() if game in lost
    }
    assert merged == fold(stream, both, {})


def test_a_game_without_a_row_gives_a_step_and_nothing_else() -> None:
    plan = fold(events(OOM, FAILED), {}, {})
    assert [step.outcome for step in plan.steps] == [Outcome.NO_ROW, Outcome.NO_ROW]
    assert (plan.snapshots, plan.changes, plan.moved) == ([], [], {})


@pytest.mark.parametrize(
    ("kind", "status", "outcome", "after"),
    [
        (OOM, "running", Outcome.SWAPPED, "engine_unreachable"),
        (OOM, "engine_unreachable", Outcome.CONFLICT, "engine_unreachable"),
        (OOM, "generation_in_progress", Outcome.CONFLICT, "generation_in_progress"),
        (OOM, "stopped", Outcome.CONFLICT, "stopped"),
        (OOM, "a status that Game Master has added", Outcome.CONFLICT, "a status that Game Master has added"),
        (RECOVERED, "engine_unreachable", Outcome.SWAPPED, "running"),
        (RECOVERED, "finished", Outcome.CONFLICT, "finished"),
        (STARTED, "engine_unreachable", Outcome.HEALTH_ONLY, "engine_unreachable"),
    ],
)
def test_what_becomes_of_one_event(kind: EventType, status: str, outcome: Outcome, after: str) -> None:
    plan = fold(events(kind), {"game-a": Row(status, 7, "")}, {})
    (step,) = plan.steps
    assert (step.outcome, step.status) == (outcome, after)
    assert step.snapshot is not None
    assert (step.snapshot.current_turn, step.snapshot.runtime_status) == (7, after)


def test_the_same_summary_is_said_once_and_a_transition_always() -> None:
    row = {"game-a": Row("running", 1, "oom")}
    plan = fold(events(OOM, OOM, FAILED, FAILED, RECOVERED, STARTED, EXITED), row, {"game-a": "oom"})
    said = [snapshot.engine_health_summary for snapshot in plan.snapshots]
    assert said == ["oom", "probe_failed", "healthy", "exited"]  # the first although it was said before: it swapped


def test_a_game_that_was_moved_and_moved_back_still_counts_as_swapped() -> None:
    plan: Plan = fold(events(OOM, RECOVERED, STARTED), {"game-a": Row("running", 1, "healthy")}, {})
    assert plan.moved == {"game-a": 200}
    assert [(change.expected, change.status) for change in plan.changes] == [("running", "running")]


def test_games_that_are_alike_share_a_row_and_few_are_kept_for_it() -> None:
    first = shared_row("running", 7, "healthy")
    assert shared_row("running", 7, "healthy") is first
    for turn in range(10_000):
        shared_row("running", turn, "healthy")
    assert shared_row.cache_info().currsize <= 1_000
