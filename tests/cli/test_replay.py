"""`gmhealth replay`: the same worker over a range; what it would do, and that it does just that."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from tests import incident
from tests.cli.conftest import Run, live_consumer
from tests.cli.world import LETTERS, LOBBY, OFFSET, RECORD, STREAM, append, dump, event, last_id, snapshots
from tests.games import add_game, game, games


def begin_again(client: redis.Redis, pg: psycopg.Connection, rows: dict[str, Any]) -> None:
    """Put the rows back and forget what was sent."""
    client.delete(LOBBY, LETTERS)
    for game_id, row in rows.items():
        pg.execute(
            "UPDATE runtime_records SET status = %s, engine_health = %s WHERE game_id = %s",
            [row.status, row.engine_health, game_id],
        )


def lobby(client: redis.Redis) -> list[Any]:
    """Every snapshot, field for field."""
    entries: Any = client.xrange(LOBBY)
    return [named for _, named in entries]


def test_a_replay_does_what_the_consumer_did(run: Run, redis_client: redis.Redis, pg: psycopg.Connection) -> None:
    incident.record(redis_client, pg)
    before = games(pg)
    run("consume", "--once")
    rows, sent, offset = games(pg), lobby(redis_client), redis_client.get(OFFSET)
    assert len(sent) > 1000
    begin_again(redis_client, pg, before)

    result = run("replay", "--from-id", "0-1", "--yes")

    assert games(pg) == rows
    assert lobby(redis_client) == sent
    assert redis_client.get(OFFSET) == offset
    assert redis_client.exists(LETTERS) == 0
    assert f"replayed 3,000 of 3,000 entries; sent {len(sent):,} snapshots; the saved offset stays" in result.stdout


@pytest.mark.parametrize("options", [[], ["--health-only"], ["--no-publish"], ["--game-id", "game-0006"]])
def test_a_dry_run_says_what_the_replay_then_does_and_writes_nothing(
    run: Run, run_json: Callable[..., Any], redis_client: redis.Redis, pg: psycopg.Connection, options: list[str]
) -> None:
    incident.record(redis_client, pg)
    before, rows = dump(redis_client, pg), games(pg)

    plan = run_json("replay", "--from-id", "0-1", *options, "--dry-run")

    assert dump(redis_client, pg) == before
    done = run_json("replay", "--from-id", "0-1", *options, "--yes")
    after = games(pg)
    told = {each["game_id"]: each for each in plan["games"]}
    assert {game_id: (each["status"], each["summary"]) for game_id, each in told.items()} == {
        game_id: (row.status, row.engine_health) for game_id, row in rows.items() if game_id in told
    }
    assert {game_id: (each["status_after"], each["summary_after"]) for game_id, each in told.items()} == {
        game_id: (row.status, row.engine_health) for game_id, row in after.items() if game_id in told
    }
    assert {game_id: row for game_id, row in after.items() if game_id not in told} == {
        game_id: row for game_id, row in rows.items() if game_id not in told
    }
    sent = [game_id for game_id, *_ in snapshots(redis_client)]
    assert {game_id: sent.count(game_id) for game_id in told} == {
        game_id: each["snapshots"] for game_id, each in told.items()
    }
    assert plan["snapshots"] == done["snapshots"] == len(sent)
    assert (plan["entries"], plan["done"], done["done"]) == (3000, 0, 3000)


def test_health_only_moves_no_status(run: Run, redis_client: redis.Redis, pg: psycopg.Connection) -> None:
    add_game(pg)
    append(redis_client, event("game-a", "container_oom"))
    run("replay", "--from-id", "0-1", "--health-only")
    assert game(pg)[::2] == ("running", "oom")
    assert [sent[1:3] for sent in snapshots(redis_client)] == [("running", "oom")]


def test_no_publish_sends_nothing(run: Run, redis_client: redis.Redis, pg: psycopg.Connection) -> None:
    add_game(pg)
    append(redis_client, event("game-a", "container_oom"))
    run("replay", "--from-id", "0-1", "--no-publish", "--yes")
    assert game(pg)[::2] == ("engine_unreachable", "oom")
    assert snapshots(redis_client) == []


@pytest.fixture
def five(redis_client: redis.Redis, pg: psycopg.Connection) -> list[str]:
    """Five entries of as many games, a second apart."""
    for number in range(1, 6):
        add_game(pg, f"game-{number}")
        append(redis_client, event(f"game-{number}", "probe_failed"), f"{number}000-0")
    return [f"game-{number}" for number in range(1, 6)]


@pytest.mark.parametrize(
    ("ends", "first", "last"),
    [
        (["--from-id", "2000-0"], 2, 5),
        (["--from-id", "2000-1"], 3, 5),
        (["--from-id", "2000-0", "--to-id", "4000-0"], 2, 4),
        (["--from-id", "2000-0", "--to-id", "99999-0"], 2, 5),
        (["--from-time", "1970-01-01T00:00:02Z"], 2, 5),
        (["--from-time", "1970-01-01T00:00:02.001Z"], 3, 5),
        (["--from-time", "1970-01-01T00:00:02Z", "--to-time", "1970-01-01T00:00:04Z"], 2, 4),
        (["--from-id", "0-0", "--to-time", "1970-01-01T00:00:03.999Z"], 1, 3),
    ],
)
def test_a_range_includes_both_ends(
    run_json: Callable[..., Any], five: list[str], ends: list[str], first: int, last: int
) -> None:
    plan = run_json("replay", *ends, "--dry-run")
    assert [each["game_id"] for each in plan["games"]] == five[first - 1 : last]


@pytest.mark.parametrize(
    ("ends", "code", "words"),
    [
        ([], 2, "a replay needs one start"),
        (["--from-id", "1-0", "--from-time", "2001-01-01"], 2, "a replay needs one start"),
        (["--from-id", "1-0", "--to-id", "2-0", "--to-time", "2001-01-01"], 2, "a replay has one end"),
        (["--from-id", "x"], 2, "is no entry ID"),
        (["--from-time", "2099-01-01T00:00:00Z"], 3, "nothing is left to replay"),
        (["--from-id", "9000-0"], 3, "nothing is left to replay"),
        (["--from-id", "1-0", "--to-id", "5-0"], 3, "nothing is left to replay"),
    ],
)
def test_a_range_that_is_none_is_refused(run: Run, five: list[str], ends: list[str], code: int, words: str) -> None:
    assert words in run("replay", *ends, "--yes", code=code).stderr


def test_without_a_stream_there_is_nothing_to_replay(run: Run) -> None:
    assert f"there is no stream {STREAM}" in run("replay", "--from-id", "0-1", code=3).stderr


def test_a_range_that_was_trimmed_in_part_says_so_first(
    run: Run, redis_client: redis.Redis, five: list[str], counted: bool
) -> None:
    redis_client.xtrim(STREAM, maxlen=3, approximate=False)
    told = run("replay", "--from-id", "1000-0", "--dry-run").stderr
    removed = "2 were removed" if counted else "this server does not count what was removed"
    assert f"part of the range may be gone: {removed} from the stream, which starts with 3000-0" in told
    assert "may be gone" not in run("replay", "--from-id", "3000-0", "--dry-run").stderr


def test_the_end_is_fixed_at_the_start(
    run: Run, redis_client: redis.Redis, five: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(*_: object, **__: object) -> None:
        append(redis_client, event("game-1", "container_oom"))

    monkeypatch.setattr("gmhealth.cli.replay._ask", meanwhile)
    run("replay", "--from-id", "0-1")
    assert {summary for _, _, summary, _ in snapshots(redis_client)} == {"probe_failed"}


def test_where_statuses_would_change_it_lists_them_and_needs_an_answer(
    run: Run, redis_client: redis.Redis, pg: psycopg.Connection, five: list[str]
) -> None:
    append(redis_client, event("game-2", "container_oom"))
    before = dump(redis_client, pg)
    told = run("replay", "--from-id", "0-1", code=4).stderr
    assert "game-2  running     engine_unreachable" in told
    assert "game-3" not in told
    assert "nothing was changed" in told
    assert "--yes" in told
    assert dump(redis_client, pg) == before
    assert "game-2" in run("replay", "--from-id", "0-1", "--yes").stderr
    assert game(pg, "game-2").status == "engine_unreachable"


def test_where_none_would_change_it_does_not_ask(run: Run, redis_client: redis.Redis, five: list[str]) -> None:
    run("replay", "--from-id", "0-1")
    assert len(snapshots(redis_client)) == 5


def test_rows_that_would_end_up_stale_are_named_and_it_goes_on_only_with_yes(
    run: Run, redis_client: redis.Redis, pg: psycopg.Connection, five: list[str]
) -> None:
    redis_client.set(OFFSET, append(redis_client, event("game-2", "inspect_unhealthy")))
    before = dump(redis_client, pg)
    words = ("replay", "--from-id", "1000-0", "--to-id", "3000-0")
    told = run(*words, code=4).stderr
    assert "after 3000-0 come newer events of game-2 (1 games)" in told
    assert dump(redis_client, pg) == before
    assert "newer events of game-2" in run(*words, "--dry-run").stdout
    run(*words, "--yes")
    assert game(pg, "game-2").engine_health == "probe_failed"


def test_what_is_still_unread_comes_after_the_replay_and_leaves_nothing_stale(
    run: Run, redis_client: redis.Redis, pg: psycopg.Connection, five: list[str]
) -> None:
    redis_client.set(OFFSET, last_id(redis_client))
    append(redis_client, event("game-2", "inspect_unhealthy"))
    words = ("replay", "--from-id", "1000-0", "--to-id", "5000-0")
    assert "no game has newer events that were consumed" in run(*words, "--dry-run").stdout
    run(*words)
    run("consume", "--once")
    assert game(pg, "game-2").engine_health == "inspect_unhealthy"


def test_a_rate_is_kept_without_changing_what_is_done(run: Run, redis_client: redis.Redis, five: list[str]) -> None:
    run("replay", "--from-id", "0-1", "--rate", "200")
    assert [game_id for game_id, *_ in snapshots(redis_client)] == five


def test_a_rate_sets_the_pace_of_the_worker(run: Run, five: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Five entries at 10 a second are five batches of one, and a tenth of a second to wait after each."""
    waited: list[float] = []
    monkeypatch.setattr(
        "gmhealth.worker.loop.Worker._wait", lambda _worker, _stop, seconds: waited.append(round(seconds, 3))
    )
    run("replay", "--from-id", "0-1", "--rate", "10")
    assert [seconds for seconds in waited if seconds] == [0.1] * 5


@pytest.mark.usefixtures("live")
def test_beside_a_live_consumer_it_refuses_names_it_and_the_reset_it_shows_does_the_same(
    run: Run, redis_client: redis.Redis, pg: psycopg.Connection, five: list[str]
) -> None:
    from tests.eventually import eventually

    last = last_id(redis_client).encode()
    eventually(lambda: redis_client.get(OFFSET) == last)
    record, sent = redis_client.get(RECORD), snapshots(redis_client)
    result = run("replay", "--from-id", "3000-0", "--yes", code=4)
    assert "gmhealth consume" in result.stderr
    assert "nothing was changed" in result.stderr
    assert (redis_client.get(RECORD), snapshots(redis_client)) == (record, sent)

    program, *words = shlex.split(result.stderr.partition("run the range itself: ")[2])
    assert (program, words) == ("gmhealth", ["offset", "reset", "--to-id", "2000-0"])
    run(*words, "--yes")
    eventually(lambda: redis_client.get(OFFSET) == last)
    assert snapshots(redis_client) == sent + sent[2:]


def test_a_dry_run_needs_no_lock_and_says_what_comes_next(
    run: Run, environ: dict[str, str], five: list[str], tmp_path: Path
) -> None:
    assert "next: the same without --dry-run" in run("replay", "--from-id", "2000-0", "--dry-run").stdout
    with live_consumer(environ, tmp_path / "consume.log"):
        told = run("replay", "--from-id", "2000-0", "--dry-run").stdout
    assert "dry run: nothing was written" in told
    assert "next: a consumer is live and can run it, for every game: gmhealth offset reset --to-id 1000-0" in told


@pytest.mark.usefixtures("replaying")
def test_beside_another_replay_it_refuses_and_shows_no_reset_that_would_have_it_run_the_range(run: Run) -> None:
    told = run("replay", "--from-id", "0-1", "--yes", code=4).stderr
    assert "another replay holds the leader lock: gmhealth replay " in told
    assert "nothing was changed" in told
    assert "wait for its end, or stop it" in told
    told += run("replay", "--from-id", "0-1", "--dry-run").stdout
    assert "next: the same without --dry-run, when the replay that is running has ended" in told
    assert "consumer" not in told
    assert "offset reset" not in told


@pytest.mark.parametrize("words", [["replay", "--from-id", "0-1"], ["offset", "reset", "--to-start"]], ids=" ".join)
def test_a_session_that_ended_while_a_long_plan_was_made_does_no_harm(
    run: Run,
    redis_client: redis.Redis,
    pg: psycopg.Connection,
    five: list[str],
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
) -> None:
    """The server ends sessions that idle for seconds, and a plan reads on when it knows every game."""
    from gmhealth.operations import dry_run as rehearsal

    def ended(*arguments: Any) -> rehearsal.DryRun:
        found = plan(*arguments)
        pg.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name LIKE 'gmhealth %'"
        )
        return found

    plan = rehearsal.dry_run
    redis_client.set(OFFSET, "5000-0")
    for module in ("replay", "offset_reset"):
        monkeypatch.setattr(f"gmhealth.operations.{module}.dry_run", ended)
    run(*words, "--dry-run")
    run(*words, "--yes")
