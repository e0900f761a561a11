"""`-o json`: one documented model per command, whose fields keep their names."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import psycopg
import pytest
import redis
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter

from gmhealth.operations.models import (
    DoctorView,
    EntryFieldsView,
    InspectView,
    LettersDoneView,
    LettersView,
    LetterView,
    OffsetView,
    ReplayView,
    ResetView,
    SimulateView,
    StatusView,
)
from tests.cli.conftest import Run
from tests.cli.world import append, event


def under(name: str, fields: str) -> str:
    """The fields of a part."""
    return " ".join(f"{name}.{field}" for field in fields.split())


TARGET = under("target", "offset_key postgres redis stream table")
PLAN = "game_id snapshots status status_after summary summary_after"
ROW = "current_turn engine_health game_id status updated_at"
SNAPSHOT = "current_turn engine_health_summary entry.id entry.time occurred_at_ms runtime_status"
EVENT = "container_id details entry.id entry.time occurred_at outcome read type why"
ENTRY = "container_id details event_type game_id occurred_at_ms"
LETTER = "detail failed_at fields id reason retried_as source.id source.time valid_now"
PLACES = "first.id first.time last.id last.time offset.id offset.time"
STATUS = (
    "consumer dead_letters dead_letters_dropped events_per_minute events_per_minute_exact gap last_break looked_at"
    " offset.id offset.time replay state unhealthy_total waiting"
)
LAG = "lag.entries lag.exact lag.seconds"
SIMULATE = "simulate container_oom -g game-back --at 2026-11-23T00:00:00Z"

GOLDEN = {
    "offset show": (
        OffsetView,
        f"{TARGET} {LAG} consumer gap last_break last_commit_by length replay {PLACES} "
        + under("last_reset", "at_ms by new old reason"),
    ),
    "offset reset --to-start --dry-run": (
        ResetView,
        f"{TARGET} applied consumer direction entries exact followed_by note replay undo "
        "new.id new.time old.id old.time " + under("status_changes[]", PLAN),
    ),
    "replay --from-id 0-1 --dry-run": (
        ReplayView,
        f"{TARGET} done entries first invalid last resume snapshots stale trimmed unknown_games "
        + under("games[]", PLAN),
    ),
    "inspect game-back": (
        InspectView,
        f"{TARGET} may_follow[] scanned scanned_all {under('row', ROW)} {under('last_snapshot', SNAPSHOT)} "
        + under("events[]", EVENT),
    ),
    f"{SIMULATE} --print": (EntryFieldsView, under("fields", ENTRY)),
    f"{SIMULATE} --dry-run": (
        SimulateView,
        f"{TARGET} entries outcome row_ms snapshot snapshot_ms {under('plan', PLAN)} {under('fields', ENTRY)}",
    ),
    "status": (
        StatusView,
        f"{TARGET} {LAG} {STATUS} {under('unhealthy[]', ROW)} {under('by_summary', 'exited healthy oom')} "
        + under("by_status", "engine_unreachable generation_in_progress running"),
    ),
    "doctor": (DoctorView, f"{TARGET} {under('checks[]', 'found hint name result')}"),
    "dead-letter list": (
        LettersView,
        f"{TARGET} total dropped by_reason.event_type_unknown {under('letters[]', LETTER)}",
    ),
    "dead-letter show LETTER": (LetterView, LETTER),
    "dead-letter retry LETTER --yes": (LettersDoneView, f"{TARGET} done left.LETTER"),
    "dead-letter purge LETTER --yes": (LettersDoneView, f"{TARGET} done.LETTER left"),
}


def leaves(value: Any, path: str = "") -> set[str]:
    """The path of every field; a list of pairs counts as one."""
    if isinstance(value, dict) and value:
        return {leaf for name, each in value.items() for leaf in leaves(each, f"{path}.{name}".lstrip("."))}
    if isinstance(value, list) and value and not isinstance(value[0], list):
        return {leaf for each in value for leaf in leaves(each, f"{path}[]")}
    return {path}


@pytest.fixture
def letter(run: Run, run_json: Callable[..., Any], redis_client: redis.Redis, consumed: list[str]) -> str:
    append(redis_client, event("game-back", "container_on_fire"))
    run("consume", "--once")
    run("offset", "reset", "--to-start", "--yes", "--reason", "r")
    run("offset", "reset", "--to-end", "--yes", "--reason", "r")
    return str(run_json("dead-letter", "list")["letters"][0]["id"])


@pytest.mark.parametrize("command", GOLDEN)
def test_the_fields_are_those_that_were_promised(run: Run, pg: psycopg.Connection, letter: str, command: str) -> None:
    """So that a re-run would change a status (I10), the turn that was in the way is over."""
    pg.execute(
        "UPDATE runtime_records SET status = 'running' WHERE game_id = 'game-busy' AND %s", ["offset" in command]
    )
    view, fields = GOLDEN[command]
    text = run(*command.replace("LETTER", letter).split(), "-o", "json").stdout
    found = json.loads(text)
    assert sorted(leaf.replace(letter, "LETTER") for leaf in leaves(found)) == sorted(fields.split())
    assert text.isascii()

    adapter: TypeAdapter[Any] = TypeAdapter(view)
    Draft202012Validator(adapter.json_schema(mode="serialization")).validate(found)
    assert adapter.validate_json(text).as_json(indent=2) + "\n" == text


@pytest.mark.parametrize("command", GOLDEN)
def test_times_are_rfc_3339_in_utc(run: Run, letter: str, command: str) -> None:
    found = json.loads(run(*command.replace("LETTER", letter).split(), "-o", "json").stdout)
    times = [
        value
        for name, value in _named(found)
        if name in ("time", "updated_at", "occurred_at", "failed_at", "looked_at")
    ]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", text) for text in times)
    assert all(datetime.fromisoformat(text).tzinfo is not None for text in times)
    assert times or command.split(maxsplit=1)[0] not in ("offset", "inspect", "status")


def _named(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [*value.items(), *(pair for each in value.values() for pair in _named(each))]
    return [pair for each in value for pair in _named(each)] if isinstance(value, list) else []


def test_every_model_is_documented() -> None:
    for view, _ in GOLDEN.values():
        assert view.__doc__
        assert "gmhealth" in view.__doc__ or "letter" in view.__doc__


def test_the_json_is_on_standard_output_alone(run: Run, letter: str) -> None:
    """All talk goes to standard error, so that `| jq` works beside it."""
    result = run("offset", "reset", "--to-time", "2001-01-01", "-o", "json", "--yes")
    json.loads(result.stdout)
    assert "read as UTC" in result.output
