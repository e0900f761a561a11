"""On a real terminal: questions, the progress bar, the live screen, colours, and what Ctrl-C leaves behind."""

from __future__ import annotations

import re
import termios

import pexpect
import psycopg
import pytest
import redis

from tests import incident
from tests.cli.conftest import Terminal, finish
from tests.cli.world import LOBBY, OFFSET, append, dump, event
from tests.eventually import eventually
from tests.games import add_game, game

QUESTION = r"\[y/N\] "


@pytest.fixture
def oom(redis_client: redis.Redis, pg: psycopg.Connection) -> str:
    """An event that would change a status."""
    add_game(pg)
    return append(redis_client, event("game-a", "container_oom"))


@pytest.mark.parametrize("answer", ["y", "yes", "Y"])
def test_a_replay_asks_and_goes_on_at_yes(terminal: Terminal, pg: psycopg.Connection, oom: str, answer: str) -> None:
    child = terminal("replay", "--from-id", oom)
    child.expect("would change these statuses")
    child.expect(QUESTION)
    child.sendline(answer)
    assert "replayed 1 of 1 entries" in finish(child, 0)
    assert game(pg).status == "engine_unreachable"


@pytest.mark.parametrize("answer", ["n", "", "yep", pexpect.spawn])
def test_a_replay_asks_and_leaves_all_at_anything_else(
    terminal: Terminal, redis_client: redis.Redis, pg: psycopg.Connection, oom: str, answer: object
) -> None:
    before = dump(redis_client, pg)
    child = terminal("replay", "--from-id", oom)
    child.expect(QUESTION)
    if isinstance(answer, str):
        child.sendline(answer)
    else:
        child.sendeof()
    assert "not confirmed; nothing was changed" in finish(child, 4)
    assert dump(redis_client, pg) == before


@pytest.mark.parametrize(
    "words",
    [
        ["replay", "--from-id", "0-1"],
        ["offset", "reset", "--to-end"],
        ["simulate", "container_oom", "--game-id", "game-a"],
    ],
    ids=" ".join,
)
def test_ctrl_c_at_a_question_changes_nothing(
    terminal: Terminal, redis_client: redis.Redis, pg: psycopg.Connection, oom: str, words: list[str]
) -> None:
    before = dump(redis_client, pg)
    child = terminal(*words)
    child.expect(QUESTION)
    child.sendintr()
    assert "nothing was changed" in finish(child, 130)
    assert dump(redis_client, pg) == before


def test_a_reset_asks_and_says_how_to_undo_it(terminal: Terminal, redis_client: redis.Redis, oom: str) -> None:
    child = terminal("offset", "reset", "--to-end")
    child.expect("forward: 1 entries are skipped")
    child.expect(QUESTION)
    child.sendline("y")
    assert "undo: gmhealth offset reset --to-start" in finish(child, 0)
    assert redis_client.get(OFFSET) == oom.encode()


def test_simulate_names_the_servers_it_asks_about(terminal: Terminal, redis_client: redis.Redis, oom: str) -> None:
    child = terminal("simulate", "probe_failed", "--game-id", "game-a", "--count", "3")
    child.expect("Append 3 simulated probe_failed to runtime:health_events on unix:")
    child.expect(QUESTION)
    child.sendline("y")
    finish(child, 0)
    assert redis_client.xlen("runtime:health_events") == 4


def test_a_purge_asks(terminal: Terminal, redis_client: redis.Redis) -> None:
    letters = "gamemaster:dead_letters:health_events"
    redis_client.xadd(letters, {"reason": "x"})
    child = terminal("dead-letter", "purge", "--all")
    child.expect("Delete 1 dead letters of .* for good")
    child.expect(QUESTION)
    child.sendline("y")
    finish(child, 0)
    assert redis_client.xlen(letters) == 0


def test_a_replay_shows_a_bar_with_rate_and_time_left_and_ctrl_c_ends_it_cleanly(
    terminal: Terminal, redis_client: redis.Redis, pg: psycopg.Connection
) -> None:
    incident.record(redis_client, pg)
    child = terminal("replay", "--from-id", "0-1", "--rate", "100", "--yes", columns=120)
    child.expect("replaying .*━")
    child.expect(r"\d+/3000")
    child.expect(r"\d+/s")
    child.expect(r"0:\d\d:\d\d")
    eventually(lambda: redis_client.exists(LOBBY))
    child.sendintr()
    left = finish(child, 130)
    assert "interrupted; go on with: gmhealth replay --from-id" in left
    assert left.rindex("\x1b[?25h") > left.rfind("\x1b[?25l")  # the cursor is back


def test_off_a_terminal_there_is_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from gmhealth.cli import progress

    now = iter([0.0, 1.0, 5.5, 6.0, 11.0])
    monkeypatch.setattr("gmhealth.cli.progress.time.monotonic", lambda: next(now))
    with progress._counting("replaying", 1000) as count:
        for _ in range(4):
            count(100)
    assert capsys.readouterr().err.splitlines() == [
        "replaying: 200 of 1,000 entries, 36/s, 22 s left",
        "replaying: 400 of 1,000 entries, 36/s, 16 s left",
    ]


def test_watch_draws_a_screen_and_ctrl_c_leaves_the_terminal_as_it_was(
    terminal: Terminal, pg: psycopg.Connection
) -> None:
    add_game(pg, "game-lost", status="engine_unreachable", health="oom")
    child = terminal("status", "--watch", "--interval", "0.2")
    modes = termios.tcgetattr(child.child_fd)
    child.expect("game-lost")
    add_game(pg, "game-two", status="engine_unreachable", health="oom")
    child.expect("game-two")
    shown = seen(child)
    child.sendintr()
    shown += finish(child, 130)
    assert "\x1b[?1049l" in shown  # the other screen is gone
    assert shown.rindex("\x1b[?25h") > shown.rfind("\x1b[?25l")
    assert shown.rindex("\x1b[?1049l") > shown.rfind("\x1b[?1049h")
    assert termios.tcgetattr(child.child_fd) == modes


def test_watch_shows_what_comes_next_whole_on_a_narrow_screen(terminal: Terminal, pg: psycopg.Connection) -> None:
    add_game(pg, "game-01HZYX4T8KQ3W5V7N9P2R6S0AB", status="engine_unreachable", health="oom")
    pg.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [OFFSET])
    child = terminal("status", "--watch", "--interval", "3600", columns=50)
    child.expect("next: gmhealth inspect ")
    child.expect("6S0AB")


def seen(child: pexpect.spawn[str]) -> str:
    """What was read up to the end of what was expected."""
    return f"{child.before}{child.after}"


STYLES = re.compile(r"\x1b\[[0-9;]+m")


@pytest.mark.parametrize(
    ("extra", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)]
)
def test_colours_are_for_terminals_that_have_them_and_people_who_want_them(
    terminal: Terminal, pg: psycopg.Connection, extra: dict[str, str], coloured: bool
) -> None:
    add_game(pg, "game-lost", status="engine_unreachable", health="oom")
    shown = finish(terminal("status", columns=80, **extra), 0)
    assert bool(STYLES.search(shown)) is coloured
    assert "engine_unreachable" in shown


@pytest.mark.parametrize("extra", [{"TERM": "dumb"}, {"NO_COLOR": "1"}], ids=["dumb", "no colour"])
def test_a_terminal_that_wants_none_gets_no_styles_while_watching(
    terminal: Terminal, pg: psycopg.Connection, extra: dict[str, str]
) -> None:
    add_game(pg, "game-lost", status="engine_unreachable", health="oom")
    child = terminal("status", "--watch", "--interval", "0.2", columns=80, **extra)
    child.expect("stopped")
    shown = seen(child)
    child.expect("stopped")
    shown += seen(child)
    child.sendintr()
    shown += finish(child, 130)
    assert STYLES.search(shown) is None
    assert ("\x1b" in shown) is ("TERM" not in extra)


def test_a_dumb_terminal_gets_no_moving_bar(terminal: Terminal, oom: str) -> None:
    shown = finish(terminal("replay", "--from-id", oom, "--yes", TERM="dumb"), 0)
    assert "\x1b" not in shown
    assert "replayed 1 of 1 entries" in shown


@pytest.mark.parametrize("columns", [40, 80, 132])
@pytest.mark.parametrize(
    "words",
    [["status"], ["offset", "show"], ["inspect", "game-a"], ["replay", "--from-id", "0-1", "--dry-run"]],
    ids=" ".join,
)
def test_nothing_runs_over_the_edge(terminal: Terminal, oom: str, columns: int, words: list[str]) -> None:
    """Commands to paste are one line on purpose: the terminal itself breaks them."""
    shown = finish(terminal(*words, columns=columns), 0)
    shown = shown[shown.rfind("\x1b[2K") + 1 :].removeprefix("[2K")  # after the bar, which has come and gone
    lines = [STYLES.sub("", line) for line in shown.split("\r\n")]
    assert [line for line in lines if len(line) > columns and not line.startswith("next: ")] == []
    assert len(lines) > 5
