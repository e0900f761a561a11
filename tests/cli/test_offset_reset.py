"""`gmhealth offset reset`: where to, what that would do, and that it is done once, on the record."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import psycopg
import pytest
import redis

from gmhealth.operations import offset_reset as offset_move
from tests.cli.conftest import Run, Terminal, finish
from tests.cli.world import AUDIT, OFFSET, STREAM, append, dump, event
from tests.eventually import eventually
from tests.games import add_game

EVENT = event("game-a", "probe_failed")


@pytest.fixture
def ten(redis_client: redis.Redis) -> int:
    """Ten entries, a second apart, the last of them now; the saved offset is the fifth. Gives the first one's ms."""
    seconds, _ = redis_client.time()
    start = (int(seconds) - 9) * 1000
    for number in range(10):
        append(redis_client, EVENT, f"{start + number * 1000}-0")
    redis_client.set(OFFSET, f"{start + 4000}-0")
    return start


def saved(client: redis.Redis) -> str | None:
    found = client.get(OFFSET)
    assert found is None or isinstance(found, bytes)
    return None if found is None else found.decode()


@pytest.mark.parametrize(
    ("how", "offset", "direction", "entries"),
    [
        (["--to-id", "+2000-0"], 2000, "back", 2),
        (["--to-id", "+7000-0"], 7000, "forward", 3),
        (["--to-id", "+6500"], 6500, "forward", 2),
        (["--to-time", "+2000"], 1000, "back", 3),
        (["--to-time", "+2001"], 2000, "back", 2),
        (["--to-end"], 9000, "forward", 5),
        (["--by", "2"], 6000, "forward", 2),
        (["--by", "-2"], 2000, "back", 2),
        (["--by", "0"], 4000, "nowhere", 0),
        (["--by", "99"], 9000, "forward", 5),
    ],
)
def test_each_target_is_resolved(
    run_json: Callable[..., Any], ten: int, how: list[str], offset: int, direction: str, entries: int
) -> None:
    words = [str(ten + int(word[1:].partition("-")[0])) if word.startswith("+") else word for word in how]
    view = run_json("offset", "reset", *words, "--dry-run")
    assert view["new"]["id"] == f"{ten + offset}-0"
    assert (view["direction"], view["entries"], view["exact"], view["applied"]) == (direction, entries, True, False)


@pytest.mark.parametrize(
    "how", [["--to-start"], ["--by", "-99"], ["--ago", "2h"], ["--to-time", "2001-01-01T00:00:00Z"]]
)
def test_before_the_first_entry_is_the_beginning(run_json: Callable[..., Any], ten: int, how: list[str]) -> None:
    view = run_json("offset", "reset", *how, "--dry-run")
    assert (view["new"]["id"], view["direction"], view["entries"]) == ("0-0", "back", 5)
    assert view["note"]


def test_a_span_ago_is_counted_from_the_server_s_clock(run_json: Callable[..., Any], redis_client: redis.Redis) -> None:
    seconds, _ = redis_client.time()
    old, new = f"{(int(seconds) - 7200) * 1000}-0", f"{(int(seconds) - 600) * 1000}-0"
    for entry_id in (old, new):
        append(redis_client, EVENT, entry_id)
    assert run_json("offset", "reset", "--ago", "1h", "--dry-run")["new"]["id"] == old


@pytest.mark.parametrize(
    ("how", "code", "words"),
    [
        ([], 2, "no targets are given"),
        (["--to-start", "--to-end"], 2, "2 targets are given"),
        (["--to-id", "x"], 2, "is no entry ID"),
        (["--ago", "soon"], 2, "is no duration"),
        (["--to-time", "2099-01-01T00:00:00Z"], 4, "is in the future; nothing was changed"),
    ],
)
def test_what_is_no_target_is_refused(run: Run, ten: int, how: list[str], code: int, words: str) -> None:
    assert words in run("offset", "reset", *how, "--yes", code=code).stderr


def test_past_the_end_is_clamped_with_words(run: Run, redis_client: redis.Redis, ten: int) -> None:
    result = run("offset", "reset", "--to-id", "9999999999999-0", "--yes")
    assert "9999999999999-0 is past the end of the stream: clamped to its last entry" in result.stderr
    assert saved(redis_client) == f"{ten + 9000}-0"


def test_a_time_without_a_zone_is_read_as_utc_and_says_so(run: Run, ten: int) -> None:
    assert "no time zone given: read as UTC" in run("offset", "reset", "--to-time", "2001-01-01", "--dry-run").stderr


def test_without_a_stream_there_is_nothing_to_move_in(run: Run) -> None:
    assert f"there is no stream {STREAM}" in run("offset", "reset", "--to-end", "--yes", code=3).stderr


def test_it_shows_old_and_new_and_what_is_skipped(run: Run, ten: int) -> None:
    told = run("offset", "reset", "--to-end", "--dry-run")
    for words in (f"{ten + 4000}-0", f"{ten + 9000}-0", "UTC", "forward: 5 entries are skipped", OFFSET):
        assert words in told.stderr
    assert told.stdout == "nothing was changed (dry run)\n"


def test_a_dry_run_changes_nothing(
    run: Run, redis_client: redis.Redis, pg: psycopg.Connection, consumed: list[str]
) -> None:
    before = dump(redis_client, pg)
    run("offset", "reset", "--to-start", "--dry-run")
    assert dump(redis_client, pg) == before


def test_while_a_person_thinks_no_connection_idles(
    terminal: Terminal, redis_client: redis.Redis, redis_url: str, pg: psycopg.Connection, ten: int
) -> None:
    """A proxy or a server ends what idles for a minute, and the command would fail on it."""
    child = terminal("offset", "reset", "--to-end", "--reason", "test")
    child.expect(r"Move the offset\? \[y/N\]")
    database = dict(parse_qsl(urlsplit(redis_url).query))["db"]

    def ours_on_redis() -> list[str]:
        clients = [each for each in redis_client.client_list() if each["db"] == database]
        return [each["name"] for each in clients if each["name"].startswith("gmhealth-")]

    eventually(lambda: not ours_on_redis())
    ours = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'gmhealth %'"
    eventually(lambda: pg.execute(ours).fetchone() is None)
    child.sendline("y")
    finish(child, 0)
    assert saved(redis_client) == f"{ten + 9000}-0"


def test_off_a_terminal_it_needs_yes(run: Run, redis_client: redis.Redis, ten: int) -> None:
    result = run("offset", "reset", "--to-end", code=4)
    assert "nothing was changed" in result.stderr
    assert "--yes" in result.stderr
    assert saved(redis_client) == f"{ten + 4000}-0"


@pytest.mark.parametrize("start", ["5-0", None])
def test_the_undo_command_undoes(
    run: Run, run_json: Callable[..., Any], redis_client: redis.Redis, start: str | None
) -> None:
    for number in range(1, 10):
        append(redis_client, EVENT, f"{number}-0")
    if start:
        redis_client.set(OFFSET, start)
    view = run_json("offset", "reset", "--to-id", "8-0", "--yes")
    assert (view["applied"], saved(redis_client)) == (True, "8-0")
    program, *words = shlex.split(view["undo"])
    assert program == "gmhealth"
    run(*words, "--yes")
    assert saved(redis_client) == (start or "0-0")


def test_it_writes_who_when_from_where_to_where_and_why(run: Run, redis_client: redis.Redis, ten: int) -> None:
    run("offset", "reset", "--to-end", "--yes", "--reason", "INC-42 \x1b[31m")
    entries: Any = redis_client.xrange(AUDIT)
    [(_, line)] = entries
    assert line[b"by"].startswith(b"operator@")
    assert (line[b"old"].decode(), line[b"new"].decode()) == (f"{ten + 4000}-0", f"{ten + 9000}-0")
    assert line[b"reason"] == b"INC-42 \\x1b[31m"
    seconds, _ = redis_client.time()
    assert abs(int(line[b"at_ms"]) / 1000 - int(seconds)) < 60


def test_where_the_audit_cannot_be_written_nothing_moves(run: Run, redis_client: redis.Redis, ten: int) -> None:
    redis_client.set(AUDIT, "no stream")
    run("offset", "reset", "--to-end", "--yes", code=1)
    assert saved(redis_client) == f"{ten + 4000}-0"


def test_an_offset_that_moved_since_it_was_shown_is_left_alone(
    run: Run, redis_client: redis.Redis, ten: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person says yes to what was shown, not to what it has become."""

    def someone_else(*_: object, **__: object) -> None:
        redis_client.set(OFFSET, f"{ten + 5000}-0")

    monkeypatch.setattr("gmhealth.cli.offset_reset.confirm", someone_else)
    result = run("offset", "reset", "--to-end", code=4)
    assert f"the offset has moved to {ten + 5000}-0 since it was shown; nothing was changed" in result.stderr
    assert saved(redis_client) == f"{ten + 5000}-0"
    assert redis_client.exists(AUDIT) == 0


def test_yes_is_an_answer_for_whatever_it_has_become_and_the_undo_is_for_that(
    run_json: Callable[..., Any], redis_client: redis.Redis, ten: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def someone_else(*_: object, **__: object) -> None:
        redis_client.set(OFFSET, f"{ten + 5000}-0")

    monkeypatch.setattr("gmhealth.cli.offset_reset.confirm", someone_else)
    view = run_json("offset", "reset", "--to-end", "--yes")
    assert (view["old"]["id"], view["entries"]) == (f"{ten + 5000}-0", 4)
    assert view["undo"] == f"gmhealth offset reset --to-id {ten + 5000}-0"
    entries: Any = redis_client.xrange(AUDIT)
    assert [line[b"old"].decode() for _, line in entries] == [f"{ten + 5000}-0"]


@pytest.mark.parametrize(
    ("to", "meanwhile", "words"),
    [
        (7000, 8000, "which lies after"),
        (7000, 7000, "which is already"),
        (2000, 1000, "which lies before"),
    ],
)
@pytest.mark.parametrize("yes", [["--yes"], []])
def test_where_it_would_go_the_other_way_by_now_it_is_refused(
    run: Run,
    redis_client: redis.Redis,
    ten: int,
    monkeypatch: pytest.MonkeyPatch,
    yes: list[str],
    to: int,
    meanwhile: int,
    words: str,
) -> None:
    """A live consumer that has passed the target would be set back, where entries were to be skipped."""

    def someone_else(*_: object, **__: object) -> None:
        redis_client.set(OFFSET, f"{ten + meanwhile}-0")

    monkeypatch.setattr("gmhealth.cli.offset_reset.confirm", someone_else)
    told = run("offset", "reset", "--to-id", f"{ten + to}-0", *yes, code=4).stderr
    moved = f"the offset has moved to {ten + meanwhile}-0 since it was shown, {words} {ten + to}-0"
    assert f"{moved}; nothing was changed" in told
    assert "run it again" in told
    assert saved(redis_client) == f"{ten + meanwhile}-0"
    assert redis_client.exists(AUDIT) == 0


@pytest.mark.parametrize(
    ("come", "offset", "direction", "entries", "applied"),
    [((10_000, 11_000), 11_000, "forward", 1, True), ((10_000,), 10_000, "nowhere", 0, False)],
)
def test_the_end_is_where_it_is_when_a_live_consumer_has_passed_the_one_that_was_shown(
    run_json: Callable[..., Any],
    redis_client: redis.Redis,
    ten: int,
    monkeypatch: pytest.MonkeyPatch,
    come: tuple[int, ...],
    offset: int,
    direction: str,
    entries: int,
    applied: bool,
) -> None:
    def a_consumer(*_: object, **__: object) -> None:
        for ms in come:
            append(redis_client, EVENT, f"{ten + ms}-0")
        redis_client.set(OFFSET, f"{ten + 10_000}-0")

    monkeypatch.setattr("gmhealth.cli.offset_reset.confirm", a_consumer)
    view = run_json("offset", "reset", "--to-end", "--yes")
    assert (view["old"]["id"], view["new"]["id"]) == (f"{ten + 10_000}-0", f"{ten + offset}-0")
    assert (view["direction"], view["entries"], view["applied"]) == (direction, entries, applied)
    assert saved(redis_client) == f"{ten + offset}-0"
    assert redis_client.exists(AUDIT) == applied


def test_it_gives_up_on_an_offset_that_never_stands_still(run: Run, ten: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gmhealth.adapters.redis.reset.RedisReset.apply", lambda *_: False)
    monkeypatch.setattr(offset_move, "TRIES", 3)
    assert "stop it first" in run("offset", "reset", "--to-end", "--yes", code=4).stderr


@pytest.mark.parametrize("garbage", [b"$", b"", b"\xff\x1b[2J"])
def test_an_offset_that_is_no_entry_id_is_set_as_the_hint_says(
    run: Run, redis_client: redis.Redis, ten: int, garbage: bytes
) -> None:
    redis_client.set(OFFSET, garbage)
    hint = run("offset", "show", code=1).stderr.partition("set it with `")[2].partition("`")[0]
    program, *words = shlex.split(hint.replace(" ID", f" {ten + 6000}-0"))
    assert program == "gmhealth"
    result = run(*words, "--yes")
    assert "is no entry ID" in result.stderr
    assert "unknown: 3 entries come after the new one" in result.stderr
    assert "undo" not in result.output
    assert "\x1b" not in result.output
    assert saved(redis_client) == f"{ten + 6000}-0"
    entries: Any = redis_client.xrange(AUDIT)
    assert [(line[b"old"], line[b"new"].decode()) for _, line in entries] == [(garbage, f"{ten + 6000}-0")]


def test_what_would_be_run_after_an_offset_that_is_no_entry_id_is_shown_first(
    run_json: Callable[..., Any], redis_client: redis.Redis, pg: psycopg.Connection
) -> None:
    add_game(pg, "game-a")
    append(redis_client, event("game-a", "container_oom"))
    redis_client.set(OFFSET, "$")
    before = dump(redis_client, pg)
    view = run_json("offset", "reset", "--to-start", "--dry-run")
    assert (view["old"], view["direction"], view["entries"]) == ({"id": "$", "time": None}, "unknown", 1)
    assert [game["game_id"] for game in view["status_changes"]] == ["game-a"]
    assert dump(redis_client, pg) == before


def test_from_an_offset_that_is_no_entry_id_there_is_nothing_to_count(
    run: Run, redis_client: redis.Redis, ten: int
) -> None:
    redis_client.set(OFFSET, "$")
    told = run("offset", "reset", "--by", "2", "--yes", code=4).stderr
    assert "--by counts from the saved offset, which is no entry ID; nothing was changed" in told
    assert saved(redis_client) == "$"


@pytest.mark.parametrize(("shown", "meanwhile"), [("$", "+5000"), ("+5000", "$"), ("$", "x")])
def test_an_offset_that_became_readable_or_unreadable_meanwhile_is_left_alone(
    run: Run, redis_client: redis.Redis, ten: int, monkeypatch: pytest.MonkeyPatch, shown: str, meanwhile: str
) -> None:
    before, after = (f"{ten + int(text)}-0" if text[0] == "+" else text for text in (shown, meanwhile))
    redis_client.set(OFFSET, before)
    monkeypatch.setattr("gmhealth.cli.offset_reset.confirm", lambda *_, **__: redis_client.set(OFFSET, after))
    yes = [] if after == "x" else ["--yes"]
    told = run("offset", "reset", "--to-id", f"{ten + 7000}-0", *yes, code=4).stderr
    assert f"the offset has moved to {after} since it was shown" in told
    assert "nothing was changed" in told
    assert saved(redis_client) == after


def test_going_back_names_the_games_whose_status_a_rerun_would_change(
    run: Run, run_json: Callable[..., Any], redis_client: redis.Redis, pg: psycopg.Connection
) -> None:
    """I10: an `oom` that met a running turn would swap when it is run again on `running`."""
    add_game(pg, "game-turn", status="generation_in_progress")
    add_game(pg, "game-calm")
    append(redis_client, event("game-turn", "container_oom"))
    append(redis_client, event("game-calm", "probe_failed"))
    run("consume", "--once")
    pg.execute("UPDATE runtime_records SET status = 'running' WHERE game_id = 'game-turn'")
    view = run_json("offset", "reset", "--to-start", "--dry-run")
    changes = [(game["game_id"], game["status"], game["status_after"]) for game in view["status_changes"]]
    assert changes == [("game-turn", "running", "engine_unreachable")]
    told = run("offset", "reset", "--to-start", "--dry-run").stderr
    assert "game-turn  running     engine_unreachable" in told
    assert "game-calm" not in told


def test_an_embedded_or_configured_server_is_named_again_in_the_undo_command(
    run_json: Callable[..., Any], ten: int, tmp_path: Any
) -> None:
    config = tmp_path / "my settings.toml"
    config.write_text("batch_size = 7\n")
    from typer.testing import CliRunner

    from gmhealth.cli import app

    result = CliRunner().invoke(
        app, ["--config", str(config), "offset", "reset", "--to-end", "--yes"], prog_name="gmhealth"
    )
    assert result.exit_code == 0, result.output
    assert f"undo: gmhealth --config '{config}' offset reset --to-id {ten + 4000}-0" in result.stdout
