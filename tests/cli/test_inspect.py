"""`gmhealth inspect`: one game, whole; what each event did or would do, and why."""

from __future__ import annotations

import json
import shlex
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from tests import daemon
from tests.cli.conftest import Run
from tests.cli.world import LOBBY, append, event
from tests.eventually import eventually
from tests.games import add_game


def told(view: Any) -> list[tuple[str, str]]:
    return [(each["type"], each["outcome"]) for each in view["events"]]


def why(view: Any) -> list[str]:
    return [each["why"] for each in view["events"]]


def consume(run: Run, client: redis.Redis, game_id: str, *kinds: str) -> None:
    for number, kind in enumerate(kinds):
        append(client, event(game_id, kind, 1_790_000_000_000 + number))
    run("consume", "--once")


def test_it_shows_the_row_what_may_follow_and_the_last_snapshot(
    run: Run, run_json: Callable[..., Any], consumed: list[str]
) -> None:
    view = run_json("inspect", "game-lost")
    row = view["row"]
    assert (row["status"], row["engine_health"], row["current_turn"]) == ("engine_unreachable", "oom", 7)
    assert view["may_follow"] == ["running", "stopped"]
    assert view["last_snapshot"]["engine_health_summary"] == "oom"
    text = run("inspect", "game-lost").stdout
    for words in ("engine_unreachable", "running, stopped", "all 6 entries", "oom, turn 7"):
        assert words in text
    assert "next: gmhealth replay --from-id " in text


def test_a_status_that_nothing_follows_says_so(run: Run, pg: psycopg.Connection) -> None:
    add_game(pg, status="finished")
    assert "nothing: it ends here" in run("inspect", "game-a").stdout


def test_an_event_that_swapped_the_status(run: Run, run_json: Callable[..., Any], consumed: list[str]) -> None:
    view = run_json("inspect", "game-lost")
    assert told(view) == [("probe_failed", "health_only"), ("container_oom", "swapped")]
    assert why(view)[1] == "running -> engine_unreachable; snapshot sent"


def test_a_conflict_names_the_status_it_met(run_json: Callable[..., Any], consumed: list[str]) -> None:
    view = run_json("inspect", "game-busy")
    assert told(view) == [("container_exited", "conflict")]
    assert why(view) == ["the status was generation_in_progress, not running; snapshot sent"]


def test_an_event_that_sets_the_summary_alone(run_json: Callable[..., Any], consumed: list[str]) -> None:
    view = run_json("inspect", "game-lost")
    assert why(view)[0] == "summary set, status left at running; snapshot sent"


def test_a_debounced_event(
    run: Run, run_json: Callable[..., Any], redis_client: redis.Redis, consumed: list[str]
) -> None:
    view = run_json("inspect", "game-back")
    assert told(view)[1:] == [("probe_recovered", "swapped"), ("container_started", "health_only")]
    assert why(view)[2] == "status unchanged, and healthy was sent before: no snapshot (debounced)"


def test_a_status_that_was_there_already_is_a_conflict(
    run: Run, run_json: Callable[..., Any], redis_client: redis.Redis, pg: psycopg.Connection
) -> None:
    add_game(pg)
    consume(run, redis_client, "game-a", "probe_failed", "container_oom", "container_exited", "container_exited")
    view = run_json("inspect", "game-a")
    assert [outcome for _, outcome in told(view)] == ["health_only", "swapped", "conflict", "conflict"]
    assert why(view)[2] == "the status was engine_unreachable already; snapshot sent"
    assert "debounced" in why(view)[3]


def test_the_first_event_in_sight_is_known_by_the_snapshot_before_it(
    run: Run, run_json: Callable[..., Any], redis_client: redis.Redis, consumed: list[str]
) -> None:
    assert told(run_json("inspect", "game-lost", "--events", "1")) == [("container_oom", "swapped")]


def test_the_very_first_event_is_honestly_unknown(
    run: Run, run_json: Callable[..., Any], redis_client: redis.Redis, pg: psycopg.Connection
) -> None:
    add_game(pg)
    consume(run, redis_client, "game-a", "container_oom")
    [line] = why(run_json("inspect", "game-a"))
    assert line == "engine_unreachable after it; no snapshot from before tells whether it was running until then"
    redis_client.delete(LOBBY)
    view = run_json("inspect", "game-a")
    assert (told(view), why(view)) == ([("container_oom", "unknown")], ["no snapshot of it in sight"])


def test_an_event_that_a_reset_skipped_is_told_from_the_row(
    run: Run, run_json: Callable[..., Any], redis_client: redis.Redis, consumed: list[str]
) -> None:
    append(redis_client, event("game-lost", "container_started"))
    append(redis_client, event("game-lost", "probe_recovered"))
    run("offset", "reset", "--to-end", "--yes")
    view = run_json("inspect", "game-lost")
    outcomes = [("container_oom", "swapped"), ("container_started", "skipped"), ("probe_recovered", "skipped")]
    assert told(view)[1:] == outcomes
    assert why(view)[2] == "not applied: the row's health is still oom; was it skipped by a reset?"
    skipped = view["events"][2]["entry"]["id"]
    assert (
        f"next: gmhealth replay --from-id {skipped} --game-id game-lost --dry-run" in run("inspect", "game-lost").stdout
    )


def test_what_is_not_read_yet_is_planned_over_the_row_as_it_is(
    run: Run, run_json: Callable[..., Any], redis_client: redis.Redis, consumed: list[str]
) -> None:
    for kind in ("probe_recovered", "probe_recovered", "container_oom"):
        append(redis_client, event("game-lost", kind))
    view = run_json("inspect", "game-lost", "--events", "2")
    assert [(each["read"], each["outcome"]) for each in view["events"]] == [(False, "conflict"), (False, "swapped")]
    assert why(view) == [
        "not read yet: the status would be running, not engine_unreachable; no snapshot (debounced)",
        "not read yet: would swap running -> engine_unreachable; sends a snapshot",
    ]
    append(redis_client, event("game-lost", "container_started"))
    assert why(run_json("inspect", "game-lost"))[-1] == "not read yet: would set the summary; sends a snapshot"


def test_it_says_how_far_it_looked(run: Run, run_json: Callable[..., Any], consumed: list[str]) -> None:
    view = run_json("inspect", "game-lost", "--scan", "3")
    assert (view["scanned"], view["scanned_all"], view["events"]) == (3, False, [])
    text = run("inspect", "game-lost", "--scan", "3").stdout
    assert "the last 3 entries" in text
    assert "next: gmhealth inspect game-lost --scan 30" in text


def test_only_the_latest_events_are_shown(run_json: Callable[..., Any], consumed: list[str]) -> None:
    assert [kind for kind, _ in told(run_json("inspect", "game-back", "-n", "2"))] == [
        "probe_recovered",
        "container_started",
    ]


def test_the_command_it_shows_next_works(run: Run, consumed: list[str]) -> None:
    text = run("inspect", "game-lost").stdout
    program, *words = shlex.split(text.partition("next: ")[2])
    assert program == "gmhealth"
    assert "Replay (dry run: nothing was written)" in run(*words).stdout


def test_a_game_that_is_not_there_is_exit_3(run: Run, redis_client: redis.Redis, pg: psycopg.Connection) -> None:
    append(redis_client, event("game-x", "container_oom"))
    result = run("inspect", "game-x", code=3)
    assert "there is no game 'game-x' in runtime_records" in result.stderr
    assert "the stream has 1 recent events of it" in result.stderr


def is_new(line: str) -> bool:
    return line.startswith('{"entry"') or line.split()[2:3] in (["event"], ["snapshot"])


@pytest.mark.usefixtures("live")
@pytest.mark.parametrize("form", ["table", "json"])
def test_it_follows_new_events_until_it_is_interrupted(
    environ: dict[str, str], redis_client: redis.Redis, pg: psycopg.Connection, tmp_path: Path, form: str
) -> None:
    add_game(pg)
    add_game(pg, "game-b")
    log = tmp_path / "inspect.log"
    with daemon.started(["inspect", "game-a", "--follow", "-o", form], environ, log) as process:
        eventually(lambda: "waiting for new events" in log.read_text(), within=30)
        append(redis_client, event("game-b", "container_oom"))
        entry_id = append(redis_client, event("game-a", "container_oom"))
        eventually(lambda: len([line for line in log.read_text().splitlines() if is_new(line)]) == 2)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    assert "game-b" not in log.read_text()
    lines = [line for line in log.read_text().splitlines() if is_new(line)]
    assert entry_id in "".join(lines)
    if form == "json":
        views = [json.loads(line) for line in lines]
        assert {view.get("type", view.get("runtime_status")) for view in views} == {
            "container_oom",
            "engine_unreachable",
        }
    else:
        assert sorted(line.split()[2] for line in lines) == ["event", "snapshot"]
