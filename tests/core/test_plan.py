"""The fold: the same as one event at a time by the decision record, however the stream is split (I2, I10)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import astuple

from gmhealth.core.events import HealthEvent
from gmhealth.core.plan import NetEffect, Outcome, Row, Written, apply, fold, net_effects, plan_for
from gmhealth.core.rules import EventType, Summary
from gmhealth.core.snapshot import Snapshot
from tests.core.model import Consumer, RuntimeRecord, Store
from tests.strategies import GAMES, cuts, event_lists, split, tables

Rows = Mapping[str, Row]
Events = Sequence[HealthEvent]
OOM, EXITED, RECOVERED = EventType.CONTAINER_OOM, EventType.CONTAINER_EXITED, EventType.PROBE_RECOVERED
FAILED, STARTED = EventType.PROBE_FAILED, EventType.CONTAINER_STARTED


def events(*kinds: EventType, game_id: str = "game-a") -> list[HealthEvent]:
    return [HealthEvent(f"{n}-0".encode(), game_id, kind, 100 * n) for n, kind in enumerate(kinds, start=1)]


def consumed(batches: Iterable[Events], rows: Rows) -> tuple[Rows, list[Snapshot]]:
    """What a worker leaves behind that takes one batch after the other."""
    emitted: dict[str, str] = {}
    snapshots: list[Snapshot] = []
    for batch in batches:
        written = apply(net_effects(batch), rows)
        plan = fold(batch, written, emitted)
        rows = {**rows, **{game_id: row for game_id, (_, row, _) in written.items()}}
        emitted.update(plan.summaries)
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
    plan = plan_for(stream, rows, emitted)
    for game_id in GAMES:
        alone = plan_for([event for event in stream if event.game_id == game_id], rows, emitted)
        assert [step for step in plan.steps if step.event.game_id == game_id] == alone.steps
        assert plan.summaries.get(game_id) == alone.summaries.get(game_id)


@given(event_lists, tables)
def test_without_swaps_no_status_changes(stream: Events, rows: Rows) -> None:
    written = apply(net_effects(stream, swap=False), rows)
    plan = fold(stream, written, {}, swap=False)
    assert all(before == row.status for before, row, _ in written.values())
    assert all(snapshot.runtime_status == rows[snapshot.game_id].status for snapshot in plan.snapshots)


@given(event_lists, tables, st.integers(0, 24), st.integers(1, 3))
def test_running_a_suffix_again_ends_in_the_same_rows(stream: Events, rows: Rows, start: int, times: int) -> None:
    after, _ = consumed([stream], rows)
    assert consumed([stream, *[stream[start:]] * times], rows)[0] == after


@given(event_lists, tables)
def test_the_rows_are_written_as_the_fold_leaves_them(stream: Events, rows: Rows) -> None:
    # The net effect is reduced before any row is known; the fold goes event by event. Both come to the same.
    written = apply(net_effects(stream), rows)
    last = {step.event.game_id: step.status for step in fold(stream, written, {}).steps if step.event.game_id in rows}
    assert {game_id: row.status for game_id, (_, row, _) in written.items()} == last


@given(event_lists)
def test_there_is_one_net_effect_a_game_in_the_order_of_their_locks(stream: Events) -> None:
    assert [effect.game_id for effect in net_effects(stream)] == sorted({event.game_id for event in stream})


@given(event_lists, tables)
def test_there_is_one_step_an_event_in_stream_order(stream: Events, rows: Rows) -> None:
    assert [step.event for step in plan_for(stream, rows, {}).steps] == stream


@given(event_lists, tables)
def test_each_step_begins_where_the_one_before_it_ended(stream: Events, rows: Rows) -> None:
    status = {game_id: row.status for game_id, row in rows.items()}
    for step in plan_for(stream, rows, {}).steps:
        assert step.before == status.get(step.event.game_id, "")
        assert (step.status != step.before) == (step.outcome is Outcome.SWAPPED)
        status[step.event.game_id] = step.status


@given(event_lists, tables)
def test_the_inputs_are_left_as_they_are(stream: Events, rows: Rows) -> None:
    before, emitted = dict(rows), {"game-a": "oom"}
    plan_for(stream, rows, emitted)
    assert (rows, emitted) == (before, {"game-a": "oom"})


def test_a_game_without_a_row_gives_a_step_and_nothing_else() -> None:
    plan = plan_for(events(OOM, FAILED), {}, {})
    assert [step.outcome for step in plan.steps] == [Outcome.NO_ROW, Outcome.NO_ROW]
    assert (plan.snapshots, plan.summaries) == ([], {})


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
    plan = plan_for(events(kind), {"game-a": Row(status, 7, "")}, {})
    (step,) = plan.steps
    assert (step.outcome, step.status) == (outcome, after)
    assert step.snapshot is not None
    assert (step.snapshot.current_turn, step.snapshot.runtime_status) == (7, after)


def test_the_same_summary_is_said_once_and_a_transition_always() -> None:
    row = {"game-a": Row("running", 1, "oom")}
    plan = plan_for(events(OOM, OOM, FAILED, FAILED, RECOVERED, STARTED, EXITED), row, {"game-a": "oom"})
    said = [snapshot.engine_health_summary for snapshot in plan.snapshots]
    assert said == ["oom", "probe_failed", "healthy", "exited"]  # the first although it was said before: it swapped


def test_a_game_that_was_moved_and_moved_back_is_published_twice() -> None:
    row = {"game-a": Row("running", 1, "healthy")}
    plan = plan_for(events(OOM, RECOVERED, STARTED), row, {})
    assert [step.outcome for step in plan.steps] == [Outcome.SWAPPED, Outcome.SWAPPED, Outcome.HEALTH_ONLY]
    assert [snapshot.runtime_status for snapshot in plan.snapshots] == ["engine_unreachable", "running"]


def test_the_last_swap_of_a_game_and_its_last_summary_are_its_net_effect() -> None:
    assert net_effects(events(RECOVERED, OOM, FAILED)) == [
        NetEffect("game-a", "engine_unreachable", Summary.PROBE_FAILED)
    ]
    assert net_effects(events(OOM, RECOVERED), swap=False) == [NetEffect("game-a", "", Summary.HEALTHY)]


def test_the_last_snapshot_shows_the_row_as_it_is_stored() -> None:
    # A trigger of Game Master's kept the status and wrote the summary in its own way (D5).
    stored = {"game-a": Written("running", Row("running", 9, "OOM"))}
    plan = fold(events(FAILED, OOM, OOM), stored, {})
    shown = [(one.current_turn, one.runtime_status, one.engine_health_summary) for one in plan.snapshots]
    assert shown == [(9, "running", "probe_failed"), (9, "running", "OOM")]
    assert plan.summaries == {"game-a": "oom"}, "what is debounced is what events say"
