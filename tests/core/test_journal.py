"""The journal: small, exact, and enough to tell what PostgreSQL has lost (design 3.4, 3.5)."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmhealth.core.events import HealthEvent
from gmhealth.core.journal import (
    Done,
    Line,
    Stored,
    by_game,
    effect_of,
    is_lost,
    lost,
    pack_events,
    pack_lines,
    pack_repairs,
    unpack_events,
    unpack_lines,
)
from gmhealth.core.plan import NetEffect, Row, plan_for
from gmhealth.core.rules import EventType
from tests.strategies import event_lists, tables

texts = st.text(max_size=8)
lines = st.lists(st.builds(Line, texts, texts, texts, texts, texts, texts, texts))


@given(event_lists, tables, st.booleans())
def test_what_each_event_did_is_read_again(stream: list[HealthEvent], rows: Mapping[str, Row], publish: bool) -> None:
    steps = plan_for(stream, rows, {}).steps
    assert unpack_events(pack_events(steps, publish=publish)) == [
        Done(
            step.event.entry_id.decode(),
            step.outcome,
            step.before,
            step.status,
            publish and step.snapshot is not None,
        )
        for step in steps
    ]


def test_ten_thousand_events_take_ten_bytes_each() -> None:
    stream = [
        HealthEvent(f"{1_790_000_000_000 + n // 10}-{n % 10}".encode(), f"game-{n % 50}", kind, n)
        for n in range(10_000)
        for kind in (list(EventType)[n % len(EventType)],)
    ]
    rows = {f"game-{n}": Row("running", 1, "") for n in range(50)}
    assert len(pack_events(plan_for(stream, rows, {}).steps)) <= 10 * len(stream)


def test_a_repair_names_games() -> None:
    packed = pack_repairs([Stored("game-a", Row("running", 1, "oom"), "t", 1)])
    assert unpack_events(packed) == [Done("game-a", "repair", "running", "running", published=True)]


@given(lines)
def test_what_a_write_left_is_read_again(left: list[Line]) -> None:
    assert unpack_lines(pack_lines(left)) == left


@given(st.binary())
def test_what_is_damaged_tells_of_nothing(packed: bytes) -> None:
    assert unpack_lines(packed) == [] or packed == pack_lines(unpack_lines(packed))
    assert unpack_events(packed) in (None, [])


EARLIER = Line("game-a", "", "healthy", "running", "running", "healthy", "3")
NEWEST = Line("game-a", "engine_unreachable", "oom", "running", "engine_unreachable", "oom", "5")


@pytest.mark.parametrize(
    ("status", "health", "at", "gone"),
    [
        ("engine_unreachable", "oom", "5", False),
        ("engine_unreachable", "oom", "6", False),
        ("engine_unreachable", "oom", "4", False),  # nothing to write again
        ("stopped", "oom", "6", False),  # another writer came after us
        ("stopped", "oom", "4", False),  # and took its time before us
        ("generation_in_progress", "oom", "4", False),
        ("running", "", "6", False),  # a new row, under the same ID
        ("running", "healthy", "6", True),  # a summary of ours that we have replaced since
        ("running", "oom", "5", True),  # back where we found it
        ("running", "oom", "6", False),
        ("engine_unreachable", "exited", "5", True),
        ("engine_unreachable", "exited", "4", True),
        ("running", "", "", True),
    ],
)
def test_a_row_is_lost_where_it_cannot_have_had_our_write(status: str, health: str, at: str, gone: bool) -> None:
    assert is_lost(Stored("game-a", Row(status, 1, health), at, 1), [EARLIER, NEWEST]) is gone


def test_what_a_batch_in_flight_may_have_left_is_not_lost() -> None:
    """Its rows were written and its commit failed: nothing of it is in the journal (I10)."""
    row = Stored("game-a", Row("running", 1, "healthy"), "6", 1)
    assert is_lost(row, [NEWEST], lambda: {"game-a": {"probe_failed"}, "game-b": {"healthy"}})
    assert not is_lost(row, [NEWEST], lambda: {"game-a": {"probe_failed", "healthy"}})
    older = Stored("game-a", Row("running", 1, "healthy"), "4", 1)
    assert is_lost(older, [NEWEST], lambda: {"game-a": {"healthy"}}), "whatever is in flight was written later"


def test_a_status_that_the_last_write_found_where_it_leads_was_moved_by_an_earlier_one() -> None:
    """Which nobody has written down: its batch was not committed, or it is more than a minute old."""
    met = Line("game-a", "engine_unreachable", "oom", "engine_unreachable", "engine_unreachable", "oom", "5")
    healthy = Line("game-a", "", "healthy", "engine_unreachable", "engine_unreachable", "healthy", "6")
    assert is_lost(Stored("game-a", Row("running", 1, "oom"), "4", 1), [met])
    assert is_lost(Stored("game-a", Row("running", 1, "healthy"), "4", 1), [met, healthy])
    assert not is_lost(Stored("game-a", Row("running", 1, "healthy"), "5", 1), [met, healthy])
    assert not is_lost(Stored("game-a", Row("stopped", 1, "oom"), "4", 1), [met])
    assert not is_lost(Stored("game-a", Row("running", 1, "oom"), "6", 1), [met])


def test_a_status_that_an_older_write_left_alone_is_not_moved_for_it() -> None:
    """An `oom` that met a turn's generation, which then ended, by a clock that is behind (I10)."""
    met = Line("game-a", "engine_unreachable", "oom", "generation_in_progress", "generation_in_progress", "oom", "5")
    assert not is_lost(Stored("game-a", Row("running", 2, "oom"), "4", 1), [EARLIER, met])


def test_what_the_row_lacks_is_written_again_and_no_more() -> None:
    left = [
        Line("game-a", "engine_unreachable", "oom", "running", "engine_unreachable", "oom", "3"),
        Line("game-a", "running", "healthy", "engine_unreachable", "running", "healthy", "5"),
        Line("game-a", "", "probe_failed", "running", "running", "probe_failed", "7"),
        Line("game-a", "", "", "stopped", "stopped", "probe_failed", "8"),
    ]

    def again(at: str, count: int = 4) -> NetEffect | None:
        return effect_of(Stored("game-a", Row("running", 1, "oom"), at, 1), left[:count])

    assert again("1") == again("4") == NetEffect("game-a", "running", "probe_failed")
    assert again("6") == NetEffect("game-a", "", "probe_failed")
    assert again("9", 3) == NetEffect("game-a", "", "probe_failed")  # the last one, where none is newer
    assert again("7") is None  # another writer's change was lost, and nothing of ours


def test_games_that_the_journal_does_not_have_are_nobodys_to_repair() -> None:
    rows = [Stored("game-a", Row("running", 1, "oom"), "4", 1), Stored("game-b", Row("running", 1, "oom"), "9", 1)]
    other = NEWEST._replace(game_id="game-b")
    assert lost(by_game([NEWEST, other]), rows, dict) == {
        "game-a": NetEffect("game-a", "engine_unreachable", "oom"),
    }
