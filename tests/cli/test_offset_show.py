"""`gmhealth offset show`: the saved offset against the stream, the lag, and who consumes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
import redis

from gmhealth.operations import position as lag
from tests.cli.conftest import Run
from tests.cli.world import OFFSET, RECORD, STREAM, append, event, put_record
from tests.games import add_game

EVENT = event("game-a", "probe_failed")


def fill(client: redis.Redis, count: int) -> None:
    for number in range(1, count + 1):
        append(client, EVENT, f"{number * 1000}-0")


def test_it_names_what_it_looked_at_and_never_a_secret(
    run: Run, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str]
) -> None:
    monkeypatch.setenv("GMHEALTH_POSTGRES_DSN", environ["GMHEALTH_POSTGRES_DSN"] + " password=s3cr3t")
    result = run("offset", "show")
    assert f"database {redis_client.client_info()['db']}" in result.stdout
    for words in (STREAM, OFFSET, "none saved: consume starts at the beginning", "nobody holds the leader lock"):
        assert words in result.stdout
    assert "s3cr3t" not in result.output


def test_a_lag_is_exact_where_it_is_cheap(run_json: Callable[..., Any], redis_client: redis.Redis) -> None:
    fill(redis_client, 10)
    redis_client.set(OFFSET, "4000-0")
    view = run_json("offset", "show")
    assert (view["lag"]["entries"], view["lag"]["exact"]) == (6, True)
    assert (view["offset"]["id"], view["first"]["id"], view["last"]["id"]) == ("4000-0", "1000-0", "10000-0")


@pytest.mark.parametrize(("saved", "lag"), [(None, 10), ("500-0", 10), ("10000-0", 0), ("99999-0", 0)])
def test_at_the_ends_of_a_long_stream_a_lag_is_exact_too(
    run_json: Callable[..., Any],
    redis_client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    saved: str | None,
    lag: int,
) -> None:
    monkeypatch.setattr("gmhealth.operations.position.COUNTED", 3)
    fill(redis_client, 10)
    if saved:
        redis_client.set(OFFSET, saved)
    view = run_json("offset", "show")["lag"]
    assert (view["entries"], view["exact"]) == (lag, True)


def test_a_long_lag_is_an_estimate_and_says_so(
    run: Run, run_json: Callable[..., Any], redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lag, "COUNTED", 3)
    fill(redis_client, 11)
    redis_client.set(OFFSET, "3000-0")
    view = run_json("offset", "show")["lag"]
    assert (view["entries"], view["exact"]) == (9, False)
    assert "about 9 entries" in run("offset", "show").stdout


@pytest.mark.since_redis_7
def test_a_long_lag_is_exact_where_the_consumer_has_counted(
    run: Run, run_json: Callable[..., Any], redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lag, "COUNTED", 3)
    fill(redis_client, 11)
    redis_client.set(OFFSET, "3000-0")
    put_record(redis_client, "3000-0", entries_read=3)
    view = run_json("offset", "show")["lag"]
    assert (view["entries"], view["exact"]) == (8, True)
    put_record(redis_client, "2000-0", entries_read=2)  # of an offset that was reset since
    assert run_json("offset", "show")["lag"]["exact"] is False


@pytest.mark.since_redis_7
def test_what_was_read_and_then_trimmed_is_no_gap(run_json: Callable[..., Any], redis_client: redis.Redis) -> None:
    fill(redis_client, 10)
    redis_client.set(OFFSET, "4000-0")
    put_record(redis_client, "4000-0", entries_read=4)
    redis_client.xtrim(STREAM, maxlen=6, approximate=False)
    view = run_json("offset", "show")
    assert (view["gap"], view["lag"]["entries"]) == (None, 6)
    redis_client.xtrim(STREAM, maxlen=4, approximate=False)
    gap = run_json("offset", "show")["gap"]
    assert (gap["kind"], gap["lost"], gap["exact"]) == ("trimmed", 2, True)


def test_of_a_stream_that_is_gone_nobody_knows_what_was_unread(
    run: Run, run_json: Callable[..., Any], redis_client: redis.Redis
) -> None:
    fill(redis_client, 3)
    redis_client.set(OFFSET, "3000-0")
    redis_client.delete(STREAM)
    assert run_json("offset", "show")["lag"] == {"entries": None, "exact": False, "seconds": 0}
    text = " ".join(run("offset", "show").stdout.split())
    assert "lag unknown how many were unread: the stream is gone" in text
    assert "gap the stream is gone; it is not known how many of its entries were unread" in text


@pytest.mark.parametrize(("left", "shown"), [("3000-0", "3000-0"), (None, "no offset at all")])
def test_a_rollback_of_redis_is_told_with_what_was_done(
    run: Run, run_json: Callable[..., Any], redis_client: redis.Redis, left: str | None, shown: str
) -> None:
    fill(redis_client, 3)
    seconds, _ = redis_client.time()
    noted = {"kind": "rolled_back", "at_ms": int(seconds) * 1000, "offset": "9000-0", "first_left": left}
    redis_client.set("gamemaster:last_break:health_events", json.dumps(noted))
    broken = run_json("offset", "show")["last_break"]
    assert (broken["kind"], broken["offset"]["id"], broken["lost"]) == ("rolled_back", "9000-0", None)
    assert broken["text"].startswith(f"Redis lost the last commits and went back to {shown}, as in a failover;")
    assert "after 9000-0: Redis lost the last commits" in " ".join(run("status").stdout.split())
    assert "Redis lost the last commits" in " ".join(run("doctor").stdout.split())


def test_the_seconds_are_the_age_of_the_oldest_unread_entry(
    run_json: Callable[..., Any], redis_client: redis.Redis
) -> None:
    seconds, _ = redis_client.time()
    now = int(seconds)
    for age in (7200, 3600, 60):
        append(redis_client, EVENT, f"{(now - age) * 1000}-0")
    redis_client.set(OFFSET, f"{(now - 7200) * 1000}-0")
    assert 3600 <= run_json("offset", "show")["lag"]["seconds"] < 3700


@pytest.mark.parametrize(
    ("break_it", "kind"),
    [
        (lambda client: client.xtrim(STREAM, maxlen=2, approximate=False), "trimmed"),
        (lambda client: client.delete(STREAM), "gone"),
        (lambda client: (client.delete(STREAM), append(client, EVENT, "1-1")), "behind"),
    ],
)
def test_a_gap_is_told(
    run: Run,
    run_json: Callable[..., Any],
    redis_client: redis.Redis,
    break_it: Callable[[redis.Redis], object],
    kind: str,
) -> None:
    fill(redis_client, 10)
    redis_client.set(OFFSET, "4000-0")
    assert run_json("offset", "show")["gap"] is None
    break_it(redis_client)
    gap = run_json("offset", "show")["gap"]
    assert gap["kind"] == kind
    assert gap["text"] in run("offset", "show").stdout


@pytest.mark.usefixtures("live")
def test_it_names_the_live_consumer(
    run: Run, run_json: Callable[..., Any], redis_client: redis.Redis, pg: psycopg.Connection
) -> None:
    add_game(pg)
    assert "gmhealth consume" in run_json("offset", "show")["consumer"]
    assert "next: gmhealth offset reset --help" in run("offset", "show").stdout


def test_it_tells_the_last_reset_and_the_last_commit(
    run: Run, run_json: Callable[..., Any], redis_client: redis.Redis, consumed: list[str]
) -> None:
    run("offset", "reset", "--to-start", "--yes", "--reason", "INC-42")
    view = run_json("offset", "show")
    packed = redis_client.get(RECORD)
    assert isinstance(packed, bytes)
    record = json.loads(packed)
    assert view["last_commit_by"] == f"{record['worker']}#{record['n']}"
    last = view["last_reset"]
    assert (last["old"], last["new"], last["reason"]) == (consumed[-1], "0-0", "INC-42")
    assert last["by"].startswith("operator@")
    text = run("offset", "show").stdout
    assert f"{consumed[-1]} -> 0-0 by operator@" in text
    assert "INC-42" in text


def test_an_offset_that_is_none_is_refused_with_the_way_out(run: Run, redis_client: redis.Redis) -> None:
    redis_client.set(OFFSET, "\x1b[31mgarbage")
    result = run("offset", "show", code=1)
    assert "is no entry ID; nothing was changed" in result.stderr
    assert "gmhealth offset reset --to-id" in result.stderr
    assert "\x1b" not in result.output


@pytest.mark.parametrize("command", [("status",), ("offset", "show"), ("doctor",)])
def test_an_offset_whose_key_is_gone_is_where_the_last_commit_left_it(
    run: Run, redis_client: redis.Redis, command: tuple[str, ...]
) -> None:
    fill(redis_client, 4)
    put_record(redis_client, "3000-0", entries_read=3)
    result = run(*command)
    assert "3000-0" in result.stdout
    assert "starts at the beginning" not in result.stdout
