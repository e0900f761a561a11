"""`gmhealth simulate`: the event Runtime Manager would append, and what becomes of it."""

from __future__ import annotations

import itertools
import json
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from gmhealth.adapters.redis.stream import RedisStream
from gmhealth.cli.types import parse_detail
from gmhealth.core.entry import EntryId
from gmhealth.core.events import HealthEvent, decode
from gmhealth.core.rules import EventType
from gmhealth.core.simulation import SIMULATED_CONTAINER
from gmhealth.errors import Unavailable, Unusable
from tests import daemon
from tests.cli.conftest import Run
from tests.cli.world import OFFSET, STREAM, dump
from tests.eventually import eventually
from tests.games import add_game, game


def entries(client: redis.Redis) -> list[dict[str, str]]:
    found: Any = client.xrange(STREAM)
    return [{name.decode(): value.decode() for name, value in named.items()} for _, named in found]


@pytest.mark.parametrize("kind", EventType)
def test_every_event_type_is_one_that_the_consumer_reads(run: Run, redis_client: redis.Redis, kind: str) -> None:
    run("simulate", kind, "--game-id", "game-a", "--at", "2026-11-23T03:15:00Z", "--yes")
    [named] = entries(redis_client)
    fields = [part.encode() for pair in named.items() for part in pair]
    assert isinstance(decode((b"1-1", fields)), HealthEvent)
    assert list(named) == ["game_id", "container_id", "event_type", "occurred_at_ms", "details"]
    assert (named["game_id"], named["event_type"], named["occurred_at_ms"]) == ("game-a", kind, "1795403700000")
    assert named["container_id"] == SIMULATED_CONTAINER
    assert isinstance(json.loads(named["details"]), dict)


def test_details_and_container_are_as_given(run: Run, redis_client: redis.Redis) -> None:
    options = ["--set", "exit_code=9", "--set", "oom=true", "--set", "note=a=b", "--container-id", "0123456789ab"]
    run("simulate", "container_exited", "-g", "game-a", *options, "--yes")
    [named] = entries(redis_client)
    assert json.loads(named["details"]) == {"exit_code": 9, "oom": True, "note": "a=b"}
    assert named["container_id"] == "0123456789ab"


@pytest.mark.parametrize("value", ["NaN", "[" * 100_000, "{", "text"])
def test_a_detail_that_is_no_json_is_text(value: str) -> None:
    assert parse_detail(f"k={value}") == ("k", value)


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["container_on_fire", "-g", "game-a"], 2, "'container_on_fire' is not one of"),
        (["container_oom", "-g", " "], 2, "is no game ID"),
        (["container_oom", "-g", "x" * 300], 2, "game_id_too_long"),
        (["container_oom", "-g", "bad\udcff"], 2, "is no game ID"),
        (["container_oom", "-g", "game-a", "--at", "soon"], 2, "is no time"),
        (["container_oom", "-g", "game-a", "--set", "x"], 2, "'x' is no K=V"),
        (["container_oom"], 2, "--game-id"),
    ],
)
def test_what_the_contract_forbids_is_refused(
    run: Run, redis_client: redis.Redis, words: list[str], code: int, told: str
) -> None:
    assert told in run("simulate", *words, "--yes", code=code).stderr
    assert redis_client.exists(STREAM) == 0


def test_print_shows_the_exact_entry_and_sends_nothing(
    run: Run, run_json: Callable[..., Any], redis_client: redis.Redis
) -> None:
    words = ("simulate", "container_oom", "-g", "game-a", "--at", "2026-11-23T03:15:00Z", "--print")
    assert run_json(*words)["fields"] == {
        "game_id": "game-a",
        "container_id": "simulated000",
        "event_type": "container_oom",
        "occurred_at_ms": "1795403700000",
        "details": '{"exit_code":137}',
    }
    assert "not sent" in run(*words).stdout
    assert redis_client.dbsize() == 0


def test_a_dry_run_shows_the_plan_for_the_row_as_it_is_and_sends_nothing(
    run: Run, run_json: Callable[..., Any], redis_client: redis.Redis, pg: psycopg.Connection
) -> None:
    add_game(pg)
    before = dump(redis_client, pg)
    view = run_json("simulate", "container_oom", "-g", "game-a", "--dry-run")
    assert (view["outcome"], view["plan"]["status"], view["plan"]["status_after"]) == (
        "swapped",
        "running",
        "engine_unreachable",
    )
    assert "running -> engine_unreachable" in run("simulate", "container_oom", "-g", "game-a", "--dry-run").stdout
    assert run_json("simulate", "probe_recovered", "-g", "game-a", "--dry-run")["outcome"] == "conflict"
    assert dump(redis_client, pg) == before


def test_a_dry_run_for_no_game_says_so(run: Run) -> None:
    assert "no such game" in run("simulate", "container_oom", "-g", "game-x", "--dry-run").stdout


def test_many_are_appended_at_a_rate(
    run_json: Callable[..., Any], redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr("gmhealth.operations.simulate.time.sleep", waited.append)
    view = run_json("simulate", "probe_failed", "-g", "game-a", "--count", "4", "--rate", "50", "--yes")
    assert len(view["entries"]) == len(entries(redis_client)) == 4
    assert waited == [0.02] * 3


WORDS = ("simulate", "probe_failed", "-g", "game-a", "--yes")


def stop_at(patch: pytest.MonkeyPatch, number: int, error: Callable[[], BaseException], *, sent: bool) -> None:
    """Have the append of this number fail, before Redis has it or after."""
    append, calls = RedisStream.append, itertools.count(1)

    def stopping(self: RedisStream, fields: list[bytes]) -> EntryId:
        stops = next(calls) == number
        if stops and not sent:
            raise error()
        entry_id = append(self, fields)
        if stops:
            raise error()
        return entry_id

    patch.setattr(RedisStream, "append", stopping)


def last_id(client: redis.Redis) -> str:
    found: Any = client.xrevrange(STREAM, count=1)
    return str(found[0][0].decode())


def test_interrupted_between_two_it_says_how_many_it_appended(
    run: Run, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("gmhealth.operations.simulate.time.sleep", interrupt)
    told = run(*WORDS, "-n", "9", "--rate", "1", code=130).stderr
    assert told == f"appended 1 of 9 entries, the last one as {last_id(redis_client)}\ninterrupted\n"


@pytest.mark.parametrize(
    ("error", "code"), [(KeyboardInterrupt, 130), (lambda: Unavailable("Redis could not append", hint="look"), 5)]
)
@pytest.mark.parametrize("sent", [True, False])
def test_stopped_while_it_appends_it_says_how_many_and_that_there_may_be_one_more(
    run: Run,
    redis_client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    error: Callable[[], BaseException],
    code: int,
    sent: bool,
) -> None:
    stop_at(monkeypatch, 3, error, sent=sent)
    told = run(*WORDS, "-n", "9", code=code).stderr
    found: Any = redis_client.xrange(STREAM)
    assert len(found) == (3 if sent else 2)
    assert f"appended 2 of 9 entries, the last one as {found[1][0].decode()}; one more may be in the stream" in told
    assert ("; look" in told) == (code == 5)


def test_one_that_the_server_refuses_is_not_in_doubt(
    run: Run, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_at(monkeypatch, 2, lambda: Unusable("Redis refused to append"), sent=False)
    told = run(*WORDS, "-n", "9", code=1).stderr
    assert f"→ appended 1 of 9 entries, the last one as {last_id(redis_client)}\n" in told


@pytest.mark.parametrize(
    ("error", "code"), [(KeyboardInterrupt, 130), (lambda: Unavailable("Redis could not load", hint="look"), 5)]
)
@pytest.mark.parametrize("look", ["gmhealth.operations.trace.Trace.follow", "gmhealth.operations.simulate.holder"])
def test_stopped_while_it_waits_it_says_as_what_the_entry_was_appended(
    run: Run,
    redis_client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    look: str,
    error: Callable[[], BaseException],
    code: int,
) -> None:
    def stop(*_: object) -> None:
        raise error()

    monkeypatch.setattr(look, stop)
    told = run(*WORDS, "--wait", "--timeout", "0", code=code).stderr
    assert f"appended 1 of 1 entries, the last one as {last_id(redis_client)}" in told
    assert "one more" not in told


def test_against_other_servers_than_the_embedded_ones_it_needs_yes(run: Run, redis_client: redis.Redis) -> None:
    result = run("simulate", "container_oom", "-g", "game-a", code=4)
    assert "--yes" in result.stderr
    assert redis_client.exists(STREAM) == 0


@pytest.mark.usefixtures("live")
def test_it_waits_until_row_and_snapshot_show_it(
    run: Run, run_json: Callable[..., Any], pg: psycopg.Connection
) -> None:
    add_game(pg)
    view = run_json("simulate", "container_oom", "-g", "game-a", "--wait", "--yes")
    assert game(pg)[::2] == ("engine_unreachable", "oom")
    assert view["snapshot"]["runtime_status"] == "engine_unreachable"
    assert view["row_ms"] > 0
    assert view["snapshot_ms"] > 0
    again = run("simulate", "container_oom", "-g", "game-a", "--wait", "--yes").stdout
    assert "none: this health was sent last (debounced)" in again
    assert "none: no such game" in run("simulate", "container_oom", "-g", "game-x", "--wait", "--yes").stdout


def test_a_wait_without_a_consumer_says_that_there_is_none(run: Run) -> None:
    result = run("simulate", "container_oom", "-g", "game-a", "--wait", "--timeout", "0", "--yes", code=1)
    assert "was appended, but not consumed within 0 s: nobody consumes" in result.stderr
    assert "→ start one: gmhealth consume" in result.stderr


def test_a_wait_for_a_consumer_that_does_not_come_names_it(run: Run, pg: psycopg.Connection) -> None:
    pg.execute("SET application_name = 'a busy consumer'")
    pg.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [OFFSET])
    result = run("simulate", "container_oom", "-g", "game-a", "--wait", "--timeout", "0.05", "--yes", code=1)
    assert "a busy consumer" in result.stderr
    assert "has not come to it" in result.stderr


@pytest.mark.usefixtures("replaying")
def test_a_wait_beside_a_replay_is_not_for_the_replay(run: Run) -> None:
    result = run("simulate", "container_oom", "-g", "game-a", "--wait", "--timeout", "0", "--yes", code=1)
    assert "nobody consumes; a replay is running, gmhealth replay " in result.stderr
    assert "→ start one: gmhealth consume" in result.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_a_word_on_how_far_it_came(
    environ: dict[str, str], redis_client: redis.Redis, tmp_path: Path, number: signal.Signals
) -> None:
    log, words = tmp_path / "simulate.log", ["simulate", "container_oom", "-g", "game-a", "--yes"]
    with daemon.started([*words, "--count", "100000", "--rate", "20"], environ, log) as process:
        eventually(lambda: redis_client.xlen(STREAM) > 1, within=30)
        process.send_signal(number)
        assert process.wait(30) == 130
    told = re.search(r"^appended (\d+) of 100,000 entries, the last one as", log.read_text(), re.MULTILINE)
    assert told is not None, log.read_text()
    assert redis_client.xlen(STREAM) - int(told[1]) in (0, 1)  # one may be on its way
    assert log.read_text().endswith("\ninterrupted\n")


def test_the_command_that_consume_shows_works_from_a_second_terminal(tmp_path: Path) -> None:
    """`consume` on embedded servers names it; it needs no confirmation there."""
    log, environ = tmp_path / "consume.log", {"GMHEALTH_EMBEDDED_DIR": str(tmp_path / "state")}
    with daemon.started(["--embedded", "consume"], environ, log) as process:
        eventually(lambda: "info    consuming" in log.read_text(), within=60)
        told = next(line for line in log.read_text().splitlines() if "second terminal" in line)
        program, *words = told.partition("second terminal: ")[2].split()
        assert (program, words[:3]) == ("gmhealth", ["--embedded", "simulate", "container_oom"])
        done = daemon.run(words, environ)
        assert done.returncode == 0, done.stderr
        assert "engine_unreachable, oom, turn 12" in done.stdout
        assert "next: gmhealth --embedded inspect game-andromeda" in done.stdout
        process.terminate()
        process.wait(30)
