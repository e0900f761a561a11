"""`gmhealth offset reset` on a consumer at work: it follows within a second, in both directions (I6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
import redis

from gmhealth.adapters.redis.reset import RedisReset
from tests.cli.conftest import Run
from tests.cli.world import OFFSET, RECORD, append, event, last_id, put_record, snapshots
from tests.eventually import eventually
from tests.games import add_game, game


@pytest.fixture
def games(pg: psycopg.Connection) -> None:
    for game_id in ("game-a", "game-b"):
        add_game(pg, game_id)


@pytest.fixture(autouse=True)
def _no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """That a consumer follows is what is tested, not how soon it does on this machine."""
    monkeypatch.setattr("gmhealth.operations.offset_reset.FOLLOWS_WITHIN_S", 60)


def offset(client: redis.Redis) -> bytes | None:
    found = client.get(OFFSET)
    assert found is None or isinstance(found, bytes)
    return found


@pytest.mark.usefixtures("games", "live")
def test_back_it_runs_the_entries_again(
    run_json: Callable[..., Any], run: Run, redis_client: redis.Redis, pg: psycopg.Connection
) -> None:
    append(redis_client, event("game-a", "container_oom", 1000))
    last = append(redis_client, event("game-b", "probe_failed", 2000))
    eventually(lambda: offset(redis_client) == last.encode())
    sent = snapshots(redis_client)
    pg.execute("UPDATE runtime_records SET status = 'running', engine_health = '' WHERE game_id = 'game-a'")

    view = run_json("offset", "reset", "--to-start", "--yes")

    assert "gmhealth consume" in view["consumer"]
    assert view["followed_by"]
    assert [change["game_id"] for change in view["status_changes"]] == ["game-a"]
    eventually(lambda: offset(redis_client) == last.encode())
    assert game(pg, "game-a")[::2] == ("engine_unreachable", "oom")
    assert snapshots(redis_client) == sent * 2
    again = run("offset", "reset", "--to-start", "--yes").stdout
    assert "the live consumer has followed: " in again


@pytest.mark.usefixtures("games", "live")
def test_forward_it_skips_what_is_unread(
    run_json: Callable[..., Any], redis_client: redis.Redis, pg: psycopg.Connection
) -> None:
    """The batch that is in hand cannot be finished while its row is locked; the reset overtakes it."""
    with psycopg.connect(pg.info.dsn) as blocker:
        blocker.execute("SELECT FROM runtime_records WHERE game_id = 'game-a' FOR UPDATE")
        append(redis_client, event("game-a", "container_oom"))
        append(redis_client, event("game-b", "container_oom"))
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        eventually(lambda: pg.execute(waiting).fetchone() != (0,))
        skipped = append(redis_client, event("game-b", "probe_failed"))
        redis_client.set(RECORD, "before")
        view = run_json("offset", "reset", "--to-id", skipped, "--yes")
        assert (view["direction"], view["new"]["id"]) == ("forward", skipped)
    new = append(redis_client, event("game-b", "inspect_unhealthy"))
    eventually(lambda: offset(redis_client) == new.encode())
    # What was in hand may have been written; what was skipped was not.
    assert "probe_failed" not in [summary for _, _, summary, _ in snapshots(redis_client)]
    assert game(pg, "game-b").engine_health == "inspect_unhealthy"


@pytest.mark.usefixtures("games", "live")
def test_an_idle_consumer_follows_without_a_new_entry(run_json: Callable[..., Any], redis_client: redis.Redis) -> None:
    last = append(redis_client, event("game-a", "probe_failed"))
    eventually(lambda: offset(redis_client) == last.encode())
    view = run_json("offset", "reset", "--to-start", "--yes")
    assert view["followed_by"]
    eventually(lambda: offset(redis_client) == last_id(redis_client).encode())


def test_nobody_needs_to_follow_where_nothing_was_moved(
    run: Run, redis_client: redis.Redis, pg: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The consumer has come to the end by itself, between the plan and the move."""
    first, last = (append(redis_client, event("game-a", "probe_failed")) for _ in range(2))
    redis_client.set(OFFSET, first)
    pg.execute("SET application_name = 'a consumer'")
    pg.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [OFFSET])
    monkeypatch.setattr("gmhealth.cli.offset_reset.confirm", lambda *_, **__: redis_client.set(OFFSET, last))
    result = run("offset", "reset", "--to-end", "--yes")
    assert result.stdout == "the offset is there already\n"
    assert "has not followed" not in result.stderr


@pytest.mark.usefixtures("replaying")
def test_a_replay_is_no_consumer_to_wait_for(
    run: Run, run_json: Callable[..., Any], redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[str | None] = []
    monkeypatch.setattr("gmhealth.operations.offset_reset._followed", lambda _, last, __: waited.append(last))
    result = run("offset", "reset", "--to-end", "--yes")
    assert "none, a replay is running: the next consumer starts there" in result.stderr
    assert "has not followed" not in result.stderr
    assert offset(redis_client) == last_id(redis_client).encode()
    view = run_json("offset", "reset", "--to-start", "--yes")
    assert (view["consumer"], view["replay"].split()[:2]) == (None, ["gmhealth", "replay"])
    assert not waited


@pytest.mark.usefixtures("games")
def test_it_says_when_nobody_follows(
    run: Run, redis_client: redis.Redis, pg: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gmhealth.operations.offset_reset.FOLLOWS_WITHIN_S", 0.1)
    append(redis_client, event("game-a", "probe_failed"))
    pg.execute("SET application_name = 'a frozen consumer'")
    pg.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [OFFSET])
    result = run("offset", "reset", "--to-end", "--yes")
    assert "a frozen consumer" in result.stderr
    assert "has not followed yet: look at gmhealth status" in result.stderr
    assert "has followed" not in result.stdout


@pytest.mark.usefixtures("games")
@pytest.mark.parametrize(("committed", "followed"), [("5-0", None), ("8-0", "host:7:ab"), ("9-0", "host:7:ab")])
def test_only_a_commit_from_the_new_offset_on_is_a_sign_of_following(
    run_json: Callable[..., Any],
    redis_client: redis.Redis,
    pg: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    committed: str,
    followed: str | None,
) -> None:
    monkeypatch.setattr("gmhealth.operations.offset_reset.FOLLOWS_WITHIN_S", 0.1)
    for number in range(1, 10):
        append(redis_client, event("game-a", "probe_failed"), f"{number}-0")
    redis_client.set(OFFSET, "5-0")
    put_record(redis_client, "5-0", n=1)
    pg.execute("SET application_name = 'a consumer'")
    pg.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [OFFSET])

    apply = RedisReset.apply

    def apply_and_commit(*given: Any) -> bool:
        done = apply(*given)
        put_record(redis_client, committed, n=2)
        return done

    monkeypatch.setattr(RedisReset, "apply", apply_and_commit)
    assert run_json("offset", "reset", "--to-id", "8-0", "--yes")["followed_by"] == followed


@pytest.mark.usefixtures("games")
def test_a_commit_while_a_person_makes_up_their_mind_is_no_sign_of_following(
    run: Run, redis_client: redis.Redis, pg: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An idle consumer renews its commit record once a minute."""
    monkeypatch.setattr("gmhealth.operations.offset_reset.FOLLOWS_WITHIN_S", 0.1)
    last = append(redis_client, event("game-a", "probe_failed"))
    redis_client.set(OFFSET, last)
    put_record(redis_client, last, n=1)
    pg.execute("SET application_name = 'a consumer'")
    pg.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [OFFSET])
    monkeypatch.setattr("gmhealth.cli.offset_reset.confirm", lambda *_, **__: put_record(redis_client, last, n=2))
    assert "has not followed yet" in run("offset", "reset", "--to-start", "--yes").stderr
