"""What the log says of each report, and at which level."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, get_args

import pytest

from gmhealth.core.continuity import EntriesLost, RolledBack, StreamBehind, StreamGone, StreamReplaced
from gmhealth.core.events import InvalidEntry, Reason
from gmhealth.core.rules import EventType
from gmhealth.observability.event_log import log_event, log_trouble
from gmhealth.observability.logs import LOGGER
from gmhealth.worker.events import (
    Active,
    BatchDone,
    BatchHalved,
    Idle,
    OffsetMoved,
    OffsetRestored,
    Paused,
    RecordUnreadable,
    Recovered,
    Report,
    Settled,
    Standby,
    Waiting,
)
from tests.observability.reports import LAST, batch, event


class Lines(logging.Handler):
    """Keeps what was logged."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def above_debug(self) -> list[tuple[str, str]]:
        """Level and message."""
        return [(each.levelname, each.getMessage()) for each in self.records if each.levelno > logging.DEBUG]

    def fields(self, message: str) -> list[dict[str, Any]]:
        """The fields of each line with this message."""
        return [vars(each)["fields"] for each in self.records if each.getMessage() == message]


@pytest.fixture
def lines() -> Iterator[Lines]:
    before = LOGGER.handlers[:], LOGGER.level, LOGGER.propagate
    handler = Lines()
    LOGGER.handlers[:], LOGGER.propagate = [handler], False
    LOGGER.setLevel(logging.DEBUG)
    yield handler
    LOGGER.handlers[:], LOGGER.level, LOGGER.propagate = before


STATES: list[tuple[Report, str]] = [
    (Active(LAST), "INFO"),
    (Standby("gmhealth on x"), "INFO"),
    (Paused("anna@host", "", None), "INFO"),
    (Recovered(3), "INFO"),
    (Waiting("no answer", 0.1, 1), "WARNING"),
    (BatchHalved("no answer", 50), "WARNING"),
    (OffsetMoved("2-0", "1-0"), "WARNING"),
    (OffsetRestored(LAST), "ERROR"),
    (RecordUnreadable(), "WARNING"),
    (Settled(LAST, published=2, repaired=0), "INFO"),
    (Settled(LAST, published=2, repaired=1), "WARNING"),
    (RolledBack(LAST, None), "ERROR"),
    (EntriesLost(LAST, None, 5, exact=True), "ERROR"),
    (StreamBehind(LAST, LAST), "ERROR"),
    (StreamReplaced(LAST, None, 2), "ERROR"),
    (StreamGone(LAST), "ERROR"),
]


def test_dropped_dead_letters_are_a_line_a_batch(lines: Lines) -> None:
    log_event(replace(batch([], [InvalidEntry(b"1-0", Reason.GAME_ID_MISSING, b"")]), dropped=7))
    assert lines.fields("old dead letters were dropped to keep to the limit") == [{"count": 7}]


@pytest.mark.parametrize(("report", "level"), STATES)
def test_a_change_of_state_is_one_line(report: Report, level: str, lines: Lines) -> None:
    log_event(report)
    assert [found for found, _ in lines.above_debug()] == [level]


def test_every_notice_is_known(lines: Lines) -> None:
    told = {type(report) for report, _ in STATES} | {BatchDone, Idle}
    assert told == {each for kind in get_args(Report) for each in (get_args(kind) or (kind,))}


def test_a_quiet_loop_is_quiet(lines: Lines) -> None:
    log_event(Idle(LAST))
    assert lines.records == []


def test_a_pause_is_told_with_who_asked_for_it_and_its_end(lines: Lines) -> None:
    log_event(Paused("anna@host", "a migration", 1_795_449_364_420))
    assert lines.fields("paused") == [{"by": "anna@host", "until": "2026-11-23 15:56:04 UTC", "why": "a migration"}]


def test_settling_that_changed_nothing_is_quiet(lines: Lines) -> None:
    log_event(Settled(LAST, published=0, repaired=0))
    assert lines.above_debug() == []


def test_what_settling_did_is_counted_in_its_line(lines: Lines) -> None:
    log_event(Settled(LAST, published=3, repaired=1))
    (message,) = (message for _, message in lines.above_debug())
    assert lines.fields(message) == [{"offset": str(LAST), "published": 3, "repaired": 1}]


def test_an_outage_is_told_ever_more_rarely(lines: Lines) -> None:
    for attempt in range(1, 1001):
        log_event(Waiting("no answer", 5.0, attempt))
    assert len(lines.above_debug()) == 10
    assert len(lines.records) == 1000


def test_nothing_is_said_of_an_event_above_debug(lines: Lines) -> None:
    log_event(batch([event(EventType.CONTAINER_OOM), event(EventType.PROBE_FAILED, "game-unknown")] * 3))
    assert lines.above_debug() == []


def test_a_conflict_names_event_game_and_status_at_debug(lines: Lines) -> None:
    log_event(batch([event(EventType.CONTAINER_OOM)], status="stopped"))
    assert lines.fields("conflict: the status is not the expected one") == [
        {"entry_id": str(LAST), "game_id": "game-a", "type": "container_oom", "status": "stopped"}
    ]


def test_a_game_without_a_row_is_named_at_debug(lines: Lines) -> None:
    log_event(batch([event(EventType.PROBE_FAILED, "game-unknown")]))
    assert [each["game_id"] for each in lines.fields("no such game")] == ["game-unknown"]


def test_dead_letters_are_one_line_a_batch(lines: Lines) -> None:
    invalid = [
        InvalidEntry(b"%d-0" % number, reason, b"secret")
        for number, reason in enumerate([Reason.GAME_ID_BLANK, Reason.DUPLICATE_FIELD, Reason.GAME_ID_BLANK])
    ]
    log_event(batch([event(EventType.PROBE_FAILED)], invalid))
    assert lines.above_debug() == [("WARNING", "dead letters")]
    assert lines.fields("dead letters") == [
        {"count": 3, "first": "0-0", "last": "2-0", "duplicate_field": 1, "game_id_blank": 2}
    ]
    assert len(lines.fields("dead letter")) == 3


def test_the_details_cost_nothing_unless_they_are_wanted(lines: Lines) -> None:
    LOGGER.setLevel(logging.INFO)
    log_event(batch([event(EventType.CONTAINER_OOM)], status="stopped"))
    assert lines.records == []


def test_messages_are_constant(lines: Lines) -> None:
    log_event(OffsetMoved("2-0", "1-0"))
    log_event(OffsetMoved("9-0", "8-0"))
    first, second = (record.msg for record in lines.records)
    assert first == second


def test_a_command_with_its_own_progress_bar_tells_trouble_only(lines: Lines) -> None:
    log_trouble(Active(LAST))
    assert lines.records == []
    log_trouble(Waiting("no answer", 0.1, 1))
    assert len(lines.records) == 1
