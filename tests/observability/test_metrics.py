"""The metrics: as declared, as fed, as scraped."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from gmhealth.core.continuity import EntriesLost, RolledBack, StreamBehind, StreamGone, StreamReplaced
from gmhealth.core.events import InvalidEntry, Reason
from gmhealth.core.rules import EventType
from gmhealth.observability.lag_watch import LagWatch, Unread
from gmhealth.observability.metrics import Metrics
from gmhealth.worker.events import (
    Active,
    Idle,
    OffsetMoved,
    OffsetRestored,
    Paused,
    Recovered,
    Report,
    Settled,
    Standby,
    Waiting,
)
from tests.observability.reports import LAST, NOW_S, batch, event

INVALID = InvalidEntry(b"1-0", Reason.EVENT_TYPE_MISSING, b"game-secret")


def served(*reports: Report) -> CollectorRegistry:
    """All there is to scrape after `reports`."""
    metrics = Metrics(LagWatch(lambda: Unread(LAST, 3, 1.5), lambda: True), clock=lambda: NOW_S)
    for report in reports:
        metrics(report)
    return metrics.registry


def scrape(*reports: Report) -> dict[str, float]:
    """Samples by name and labels, as they stand on the page."""
    page = generate_latest(served(*reports)).decode()
    return {
        sample.name + "".join(f" {name}={value}" for name, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


FAMILIES = [each for each in served().collect() if not each.name.startswith("process_")]


@pytest.mark.parametrize("metric", FAMILIES, ids=lambda metric: metric.name)
def test_a_metric_is_named_by_the_conventions(metric: Metric) -> None:
    assert re.fullmatch(r"gmhealth(_[a-z]+)+", metric.name)
    assert not metric.name.endswith(("_total", "_count", "_sum", "_bucket", "_ms", "_milliseconds", "_minutes"))
    assert metric.documentation.endswith(".")
    assert metric.samples, "there from the start"
    assert not {"game", "game_id", "container_id"} & {label for sample in metric.samples for label in sample.labels}
    assert not [sample for sample in metric.samples if sample.name.endswith("_created")]


def test_every_series_is_there_from_the_start() -> None:
    events = [event(kind, game_id) for kind in EventType for game_id in ("game-a", "game-unknown")]
    invalid = [InvalidEntry(b"1-0", reason, b"") for reason in Reason]
    assert scrape().keys() == scrape(batch(events, invalid), batch(events, status="engine_unreachable")).keys()


def test_events_by_type_and_outcome() -> None:
    page = scrape(
        batch(
            [
                event(EventType.CONTAINER_OOM),
                event(EventType.CONTAINER_OOM),
                event(EventType.PROBE_FAILED),
                event(EventType.PROBE_FAILED, "game-unknown"),
            ]
        )
    )
    assert page["gmhealth_events_total outcome=swapped type=container_oom"] == 1
    assert page["gmhealth_events_total outcome=conflict type=container_oom"] == 1
    assert page["gmhealth_events_total outcome=health_only type=probe_failed"] == 1
    assert page["gmhealth_events_total outcome=no_row type=probe_failed"] == 1
    assert sum(value for key, value in page.items() if key.startswith("gmhealth_events_total")) == 4
    assert page["gmhealth_transitions_total from=running result=swapped to=engine_unreachable"] == 1
    assert page["gmhealth_transitions_total from=running result=conflict to=engine_unreachable"] == 1
    assert page["gmhealth_transitions_total from=engine_unreachable result=swapped to=running"] == 0
    # Sent: the swap, and the new summary. Suppressed: the second oom. The unknown game has nothing to send.
    assert page["gmhealth_snapshots_total result=sent"] == 2
    assert page["gmhealth_snapshots_total result=suppressed"] == 1


def test_figures_of_a_batch() -> None:
    page = scrape(batch([event(EventType.PROBE_FAILED, delay_s=0.2)], [INVALID]), batch([]))
    assert page["gmhealth_entries_total"] == 2
    assert page["gmhealth_dead_letters_total reason=event_type_missing"] == 1
    assert page["gmhealth_batch_entries_count"] == 2
    assert page["gmhealth_batch_entries_sum"] == 2
    assert page["gmhealth_batch_entries_bucket le=1.0"] == 1
    assert page["gmhealth_batch_entries_bucket le=3.0"] == 2
    assert page["gmhealth_stage_duration_seconds_sum stage=write"] == pytest.approx(0.08)
    assert page["gmhealth_stage_duration_seconds_count stage=publish"] == 2
    assert page["gmhealth_event_delay_seconds_bucket le=0.1"] == 0
    assert page["gmhealth_event_delay_seconds_bucket le=0.25"] == 1
    assert page["gmhealth_event_delay_seconds_bucket le=+Inf"] == 1
    assert page["gmhealth_offset_timestamp_seconds"] == LAST.ms / 1000
    assert page["gmhealth_last_success_timestamp_seconds"] == NOW_S


def test_dropped_dead_letters_are_counted() -> None:
    page = scrape(replace(batch([], [INVALID]), dropped=3), batch([], [INVALID]))
    assert page["gmhealth_dead_letters_dropped_total"] == 3


def test_a_bound_belongs_to_its_own_bucket() -> None:
    page = scrape(batch([event(EventType.PROBE_FAILED, delay_s=seconds) for seconds in (0.5, 1.0, 1.0)]), batch([]))
    assert page["gmhealth_event_delay_seconds_bucket le=0.25"] == 0
    assert page["gmhealth_event_delay_seconds_bucket le=0.5"] == 1
    assert page["gmhealth_event_delay_seconds_bucket le=1.0"] == 3
    assert page["gmhealth_event_delay_seconds_count"] == 3
    assert page["gmhealth_event_delay_seconds_sum"] == 2.5


def test_a_clock_ahead_of_ours_gives_no_negative_delay() -> None:
    page = scrape(batch([event(EventType.PROBE_FAILED, delay_s=-5)]))
    assert page["gmhealth_event_delay_seconds_sum"] == 0


@pytest.mark.parametrize(
    ("report", "series", "value"),
    [
        (Waiting("no answer", 1.0, 1), "gmhealth_failed_tries_total", 1),
        (Recovered(3), "gmhealth_reconnects_total", 1),
        (OffsetMoved("2-0", "1-0"), "gmhealth_offset_moves_total", 1),
        (OffsetRestored(LAST), "gmhealth_offset_restores_total", 1),
        (Settled(LAST, published=4, repaired=3), "gmhealth_snapshots_total result=repair", 4),
        (Settled(LAST, published=4, repaired=3), "gmhealth_rows_repaired_total", 3),
        (RolledBack(LAST, None), "gmhealth_stream_breaks_total kind=rolled_back", 1),
        (EntriesLost(LAST, None, 12, exact=True), "gmhealth_entries_lost_total", 12),
        (EntriesLost(LAST, None, None, exact=False), "gmhealth_stream_breaks_total kind=trimmed", 1),
        (StreamBehind(LAST, LAST), "gmhealth_stream_breaks_total kind=behind", 1),
        (StreamReplaced(LAST, None, 2), "gmhealth_stream_breaks_total kind=replaced", 1),
        (StreamReplaced(LAST, None, 2), "gmhealth_entries_lost_total", 2),
        (StreamGone(LAST), "gmhealth_stream_breaks_total kind=gone", 1),
        (Idle(LAST), "gmhealth_offset_timestamp_seconds", LAST.ms / 1000),
        (Idle(LAST), "gmhealth_last_success_timestamp_seconds", NOW_S),
        (Active(LAST), "gmhealth_role role=active", 1),
        (Active(LAST), "gmhealth_role role=starting", 0),
        (Standby("x"), "gmhealth_role role=standby", 1),
        (Paused("x", "", None), "gmhealth_role role=paused", 1),
    ],
)
def test_a_notice_is_counted(report: Report, series: str, value: float) -> None:
    assert scrape()[series] != value
    assert scrape(report)[series] == value


def test_the_lag_and_its_word_are_on_the_page() -> None:
    page = scrape()
    assert page["gmhealth_lag_entries"] == 3
    assert page["gmhealth_lag_seconds"] == 1.5
    assert page["gmhealth_stream_up"] == 1
    assert page["gmhealth_state state=ok"] == 1
    assert page["gmhealth_state state=stalled"] == 0


def test_no_game_is_named() -> None:
    events = [event(EventType.PROBE_FAILED), event(EventType.PROBE_FAILED, "game-unknown")]
    assert b"game-" not in generate_latest(served(batch(events, [INVALID])))
