"""Completion, as bash, zsh and fish ask for it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pexpect
import psycopg
import pytest

from tests import daemon
from tests.games import add_game


@pytest.fixture
def games(pg: psycopg.Connection) -> None:
    """Names that begin alike, and two that would run a command if they were typed."""
    for game_id in ("game-andromeda", "game-borealis", "other", "game-$(touch x)", "game-;x", "game-\x1b[31m"):
        add_game(pg, game_id)


def complete(shell: str, line: str, environ: dict[str, str]) -> list[str]:
    """What the program offers for the last word of `line`."""
    asked = {"_GMHEALTH_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": line}
    asked |= {
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split(" ")) - 1),
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    done = subprocess.run(
        daemon.command(),
        env=daemon.environment({**environ, **asked}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout.split("\n")[:-1]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_event_names_are_offered(shell: str, environ: dict[str, str]) -> None:
    offered = "\n".join(complete(shell, "gmhealth simulate container_", environ))
    for name in ("container_started", "container_exited", "container_oom", "container_disappeared"):
        assert name in offered
    assert "probe_failed" not in offered


@pytest.mark.usefixtures("games")
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize("line", ["inspect game-", "replay --game-id game-", "simulate container_oom -g game-"])
def test_game_ids_are_offered_from_the_table_and_none_that_a_shell_would_run(
    shell: str, line: str, environ: dict[str, str]
) -> None:
    offered = "\n".join(complete(shell, f"gmhealth {line}", environ))
    assert "game-andromeda" in offered
    assert "game-borealis" in offered
    assert "other" not in offered
    assert [bad for bad in ("touch", ";x", "\x1b", "31m") if bad in offered] == []


@pytest.mark.parametrize(
    "environ", [{}, {"GMHEALTH_REDIS_URL": "redis://127.0.0.1:1", "GMHEALTH_POSTGRES_DSN": "port=1"}]
)
def test_without_servers_nothing_is_offered_and_nothing_is_said(environ: dict[str, str]) -> None:
    assert complete("bash", "gmhealth inspect g", environ) == [""]


@pytest.mark.usefixtures("games")
def test_a_settings_file_named_on_the_line_is_used(environ: dict[str, str], tmp_path: Path) -> None:
    config = tmp_path / "settings.toml"
    lines = [f"{name.removeprefix('GMHEALTH_').lower()} = '{value}'" for name, value in environ.items()]
    config.write_text("\n".join(lines))
    assert "game-andromeda" in complete("bash", f"gmhealth --config {config} inspect game-a", {})


def test_commands_and_options_are_offered(environ: dict[str, str]) -> None:
    assert complete("bash", "gmhealth dead", environ) == ["dead-letter"]
    assert set(complete("bash", "gmhealth offset reset --to", environ)) == {
        "--to-id",
        "--to-time",
        "--to-start",
        "--to-end",
    }
    assert complete("bash", "gmhealth status --output j", environ) == ["json"]
    assert complete("bash", "gmhealth schema off", environ) == ["offset"]
    assert complete("bash", "gmhealth schema offset s", environ) == ["show"]


SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], 'eval "$(_GMHEALTH_COMPLETE=source_bash gmhealth)"'),
    "zsh": (
        ["zsh", "-f", "-i"],
        'autoload -Uz compinit; compinit -u -D; eval "$(_GMHEALTH_COMPLETE=source_zsh gmhealth)"',
    ),
    "fish": (["fish", "--no-config", "-i"], "_GMHEALTH_COMPLETE=source_fish gmhealth | source"),
}


@pytest.mark.usefixtures("games")
@pytest.mark.parametrize("shell", SHELLS)
def test_a_tab_in_the_shell_itself_completes_the_game(shell: str, environ: dict[str, str], tmp_path: Path) -> None:
    start, load = SHELLS[shell]
    if shutil.which(start[0]) is None:
        pytest.skip(f"there is no {shell} on this machine")
    program = tmp_path / "gmhealth"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(daemon.command())} "$@"\n')
    program.chmod(0o755)
    variables = {**daemon.environment(environ), "TERM": "dumb" if shell != "fish" else "xterm", "HOME": str(tmp_path)}
    variables["PATH"] = f"{tmp_path}{os.pathsep}{variables['PATH']}"
    child = pexpect.spawn(start[0], start[1:], env=variables, encoding="utf-8", timeout=30, dimensions=(24, 200))
    try:
        child.sendline(load)
        child.sendline("echo re''ady")
        child.expect("ready\r")
        child.send("gmhealth inspect game-and\t")
        child.expect("romeda")
    finally:
        child.close(force=True)
