"""`gmhealth status`: all on one screen."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from tests import daemon
from tests.cli.conftest import Run, Terminal
from tests.cli.world import LETTERS, OFFSET, RECORD, append, event
from tests.eventually import eventually
from tests.games import add_game

HOLD = "SELECT pg_advisory_lock(hashtextextended(%s, 0))"
"""What a consumer holds while it writes."""


def test_without_a_consumer_it_is_stopped_and_says_how_to_start(
    run: Run, run_json: Callable[..., Any], consumed: list[str]
) -> None:
    assert run_json("status")["state"] == "stopped"
    text = run("status").stdout
    assert "none: nobody holds the leader lock" in text
    assert "next: gmhealth consume" in text


@pytest.mark.usefixtures("live")
def test_with_a_consumer_it_is_ok_and_names_it(run: Run, run_json: Callable[..., Any], pg: psycopg.Connection) -> None:
    assert run_json("status")["state"] == "ok"
    text = run("status").stdout
    assert "gmhealth consume" in text
    assert "next: nothing: all is well" in text


def test_a_consumer_that_does_not_keep_up_is_behind(
    run: Run, run_json: Callable[..., Any], redis_client: redis.Redis, pg: psycopg.Connection
) -> None:
    pg.execute("SET application_name = 'a slow consumer'")
    pg.execute(HOLD, [OFFSET])
    append(redis_client, event("game-a", "probe_failed"), "1000-0")
    view = run_json("status")
    assert (view["state"], view["consumer"].split(",")[0], view["lag"]["entries"]) == ("behind", "a slow consumer", 1)
    assert "next: gmhealth doctor" in run("status").stdout


def test_watching_tells_one_that_stands_still_and_what_to_run(
    terminal: Terminal, redis_client: redis.Redis, pg: psycopg.Connection
) -> None:
    pg.execute(HOLD, [OFFSET])
    append(redis_client, event("game-a", "probe_failed"), "1000-0")
    child = terminal("status", "--watch", "--interval", "0.5")
    child.expect("stalled")
    child.expect("next: gmhealth doctor ")


def test_watching_tells_an_offset_that_was_set_back_and_what_to_run(
    terminal: Terminal, redis_client: redis.Redis, pg: psycopg.Connection
) -> None:
    pg.execute(HOLD, [OFFSET])
    for entry_id in ("1000-0", "2000-0"):
        append(redis_client, event("game-a", "probe_failed"), entry_id)
    redis_client.set(OFFSET, "2000-0")
    child = terminal("status", "--watch", "--interval", "0.2")
    child.expect("next: nothing: all is well")
    redis_client.set(OFFSET, "1000-0")
    child.expect("rewound")
    child.expect("next: gmhealth offset show ")


def test_a_break_of_today_is_no_all_clear(run: Run, redis_client: redis.Redis, pg: psycopg.Connection) -> None:
    append(redis_client, event("game-a", "probe_failed"), "1000-0")
    redis_client.set(OFFSET, "2000-0")
    run("consume", "--once")
    pg.execute(HOLD, [OFFSET])
    text = run("status").stdout
    assert "the stream ends before the offset" in text
    assert "next: gmhealth doctor" in text


@pytest.mark.usefixtures("replaying")
def test_a_replay_that_is_running_is_no_consumer(run: Run, run_json: Callable[..., Any]) -> None:
    view = run_json("status")
    assert (view["state"], view["consumer"], view["replay"].split()[:2]) == ("stopped", None, ["gmhealth", "replay"])
    shown = run("status").stdout
    assert "none: a replay holds the leader lock, gmhealth replay " in shown
    assert "next: gmhealth consume" in shown
    assert "none: a replay holds the leader lock, gmhealth replay " in run("offset", "show").stdout
    assert run_json("offset", "show")["consumer"] is None
    checks = {check["name"]: check for check in run_json("doctor")["checks"]}
    assert checks["consumer"]["result"] == "warning"
    assert "none: a replay holds the leader lock, gmhealth replay " in checks["consumer"]["found"]


def test_games_are_counted_and_those_that_want_a_look_come_first(
    run: Run, run_json: Callable[..., Any], pg: psycopg.Connection, redis_client: redis.Redis
) -> None:
    add_game(pg, "game-fine", health="healthy")
    add_game(pg, "game-new")
    add_game(pg, "game-over", status="finished", health="oom")
    add_game(pg, "game-slow", health="probe_failed")
    add_game(pg, "game-lost", status="engine_unreachable", health="healthy")
    view = run_json("status")
    assert view["by_status"] == {"running": 3, "finished": 1, "engine_unreachable": 1}
    assert view["by_summary"] == {"healthy": 2, "oom": 1, "probe_failed": 1, "(never reported)": 1}
    assert [game["game_id"] for game in view["unhealthy"]] == ["game-lost", "game-slow"]
    assert [game["game_id"] for game in run_json("status", "--games", "1")["unhealthy"]] == ["game-lost"]
    assert "Not healthy (1 of 2)" in run("status", "-n", "1").stdout


@pytest.mark.usefixtures("live")
def test_a_list_of_none_leaves_the_count_as_it_is(
    run: Run, run_json: Callable[..., Any], pg: psycopg.Connection
) -> None:
    for game_id in ("game-lost", "game-gone"):
        add_game(pg, game_id, status="engine_unreachable", health="oom")
    view = run_json("status", "--games", "0")
    assert (view["unhealthy"], view["unhealthy_total"]) == ([], 2)
    text = run("status", "--games", "0").stdout
    assert "Not healthy (0 of 2)" in text
    assert text.endswith("next: gmhealth status\n")


def test_the_rate_counts_the_last_minute(run_json: Callable[..., Any], redis_client: redis.Redis) -> None:
    seconds, _ = redis_client.time()
    for age in (3600, 120, 30, 5):
        append(redis_client, event("game-a", "probe_failed"), f"{(int(seconds) - age) * 1000}-0")
    view = run_json("status")
    assert (view["events_per_minute"], view["events_per_minute_exact"]) == (2, True)


def test_dead_letters_are_counted_with_the_command_that_lists_them(
    run: Run, redis_client: redis.Redis, pg: psycopg.Connection
) -> None:
    redis_client.xadd(LETTERS, {"reason": "x"})
    assert "1: gmhealth dead-letter list" in run("status").stdout
    pg.execute(HOLD, [OFFSET])
    assert "next: gmhealth dead-letter list" in run("status").stdout


@pytest.mark.parametrize("form", ["table", "json"])
def test_watching_off_a_terminal_prints_a_line_a_look(
    environ: dict[str, str], redis_client: redis.Redis, tmp_path: Path, form: str
) -> None:
    log = tmp_path / "status.log"
    with daemon.started(["status", "--watch", "--interval", "0.2", "-o", form], environ, log) as process:
        eventually(lambda: len(log.read_text().splitlines()) >= 3, within=30)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    lines = [line for line in log.read_text().splitlines() if line != "interrupted"]
    assert "\x1b" not in log.read_text()
    if form == "json":
        assert {json.loads(line)["state"] for line in lines} == {"stopped"}
    else:
        assert {line.split()[0] for line in lines} == {"stopped"}


def test_watching_goes_on_while_a_server_is_away(
    run: Run, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is what one watches for."""
    looks = 0

    def sleep(_: float) -> None:
        nonlocal looks
        looks += 1
        if looks == 1:
            monkeypatch.setattr("gmhealth.adapters.redis.queries.RedisQueries.now_ms", away)
        elif looks == 2:
            monkeypatch.undo()
            monkeypatch.setattr("gmhealth.cli.status.time.sleep", sleep)
        else:
            raise KeyboardInterrupt

    def away(_: object) -> int:
        from gmhealth.errors import Unavailable

        raise Unavailable("Redis could not be reached")

    monkeypatch.setattr("gmhealth.cli.status.time.sleep", sleep)
    result = run("status", "--watch", code=130)
    assert result.stdout.count("stopped  offset none") == 2
    assert "Redis could not be reached" in result.stderr
    assert redis_client.exists(RECORD) == 0
