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
from typer.testing import CliRunner

from gmhealth.cli import app
from gmhealth.cli.schema import printed
from tests.cli.conftest import Run
from tests.cli.test_help import COMMANDS
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
        f"{TARGET} {LAG} consumer gap last_break last_commit_by length replay {PLACES} "
        + under("last_reset", "at_ms by new old reason")
    ),
    "offset reset --to-start --dry-run": (
        f"{TARGET} applied consumer direction entries exact followed_by note replay undo "
        "new.id new.time old.id old.time " + under("status_changes[]", PLAN)
    ),
    "replay --from-id 0-1 --dry-run": (
        f"{TARGET} done entries first invalid last resume snapshots stale trimmed unknown_games "
        + under("games[]", PLAN)
    ),
    "inspect game-back": (
        f"{TARGET} may_follow[] scanned scanned_all {under('row', ROW)} {under('last_snapshot', SNAPSHOT)} "
        + under("events[]", EVENT)
    ),
    f"{SIMULATE} --print": under("fields", ENTRY),
    f"{SIMULATE} --dry-run": (
        f"{TARGET} entries outcome row_ms snapshot snapshot_ms {under('plan', PLAN)} {under('fields', ENTRY)}"
    ),
    "status": (
        f"{TARGET} {LAG} {STATUS} {under('unhealthy[]', ROW)} {under('by_summary', 'exited healthy oom')} "
        + under("by_status", "engine_unreachable generation_in_progress running")
    ),
    "doctor": f"{TARGET} {under('checks[]', 'found hint name result')}",
    "dead-letter list": f"{TARGET} total dropped by_reason.event_type_unknown {under('letters[]', LETTER)}",
    "dead-letter show LETTER": LETTER,
    "dead-letter retry LETTER --yes": f"{TARGET} done left.LETTER",
    "dead-letter purge LETTER --yes": f"{TARGET} done.LETTER left",
}


def leaves(value: Any, path: str = "") -> set[str]:
    """The path of every field; a list of pairs counts as one."""
    if isinstance(value, dict) and value:
        return {leaf for name, each in value.items() for leaf in leaves(each, f"{path}.{name}".lstrip("."))}
    if isinstance(value, list) and value and not isinstance(value[0], list):
        return {leaf for each in value for leaf in leaves(each, f"{path}[]")}
    return {path}


def name_of(command: str) -> list[str]:
    """The words of a command line that name the command."""
    words = command.split()
    return words[: 2 if words[0] in ("offset", "dead-letter") else 1]


def test_every_command_that_prints_json_has_a_schema_and_an_example_here() -> None:
    printing = {
        " ".join(path) for path, found in COMMANDS.items() if any("--output" in param.opts for param in found.params)
    }
    assert set(printed()) == printing == {" ".join(name_of(command)) for command in GOLDEN}


def test_a_command_without_a_schema_is_exit_2_and_those_with_one_are_named() -> None:
    result = CliRunner().invoke(app, ["schema", "offset"], prog_name="gmhealth")
    assert result.exit_code == 2
    assert "no command offset prints JSON" in result.stderr
    assert "offset show, offset reset" in result.stderr


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
    text = run(*command.replace("LETTER", letter).split(), "-o", "json").stdout
    found = json.loads(text)
    assert sorted(leaf.replace(letter, "LETTER") for leaf in leaves(found)) == sorted(GOLDEN[command].split())
    assert text.isascii()

    form = json.loads(run("schema", *name_of(command)).stdout)
    Draft202012Validator.check_schema(form)
    Draft202012Validator(form).validate(found)


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


def test_the_json_is_on_standard_output_alone(run: Run, letter: str) -> None:
    """All talk goes to standard error, so that `| jq` works beside it."""
    result = run("offset", "reset", "--to-time", "2001-01-01", "-o", "json", "--yes")
    json.loads(result.stdout)
    assert "read as UTC" in result.output
