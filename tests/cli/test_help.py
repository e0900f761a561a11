"""`--help`: examples first, whole lines, and nothing heavy loaded for it."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from typer.core import TyperGroup
from typer.main import get_command
from typer.testing import CliRunner

from gmhealth.cli import app
from tests import daemon


def _commands(command: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    if isinstance(command, TyperGroup):
        for name, found in command.commands.items():
            yield from _commands(found, *path, name)


COMMANDS = dict(_commands(get_command(app)))
LEAVES = [path for path, command in COMMANDS.items() if not isinstance(command, TyperGroup)]
IDS = [" ".join(path) or "gmhealth" for path in COMMANDS]


def shown(*path: str, columns: int = 80) -> list[str]:
    result = CliRunner().invoke(app, [*path, "--help"], prog_name="gmhealth", env={"COLUMNS": str(columns)})
    assert result.exit_code == 0
    return result.stdout.splitlines()


def test_all_commands_are_there() -> None:
    assert {" ".join(path) for path in LEAVES} == {
        "consume",
        "replay",
        "inspect",
        "offset show",
        "offset reset",
        "simulate",
        "status",
        "doctor",
        "dead-letter list",
        "dead-letter show",
        "dead-letter retry",
        "dead-letter purge",
        "schema",
    }


@pytest.mark.parametrize("columns", [60, 80, 200])
@pytest.mark.parametrize("path", COMMANDS, ids=IDS)
def test_help_takes_the_width_of_the_terminal(path: tuple[str, ...], columns: int) -> None:
    assert max(map(len, shown(*path, columns=columns))) == columns


@pytest.mark.parametrize("path", COMMANDS, ids=IDS)
def test_help_begins_with_two_examples_that_are_commands(path: tuple[str, ...]) -> None:
    examples = [line.strip(" •") for line in shown(*path, columns=100)[4:9] if "• gmhealth " in line]
    assert len(examples) >= 2
    for example in examples:
        words = [word for word in shlex.split(example) if word != "--embedded"][1:]
        at: tuple[str, ...] = ()
        while isinstance(COMMANDS[at], TyperGroup):
            at = (*at, words.pop(0))
        assert at[: len(path)] == path
        COMMANDS[at].make_context(" ".join(at), words)  # parsed as it would be, without being run


@pytest.mark.parametrize("path", COMMANDS, ids=IDS)
def test_help_shows_every_word_of_the_docstring(path: tuple[str, ...]) -> None:
    text = "".join("".join(shown(*path)).split())
    assert "".join(re.sub(r"^- |`", "", COMMANDS[path].help, flags=re.MULTILINE).split()) in text.replace("•", "")


@pytest.mark.parametrize("path", COMMANDS, ids=IDS)
def test_every_option_says_what_it_is_for(path: tuple[str, ...]) -> None:
    assert [param.name for param in COMMANDS[path].params if not param.help] == []


def test_commands_are_in_panels_by_who_uses_them() -> None:
    lines = shown()
    panels = ["On call", "status", "Daemon", "consume", "Developers", "simulate", "Dead letters", "dead-letter"]
    at = [next(number for number, line in enumerate(lines) if re.match(rf"[╭│][─ ]+{each} ", line)) for each in panels]
    assert at == sorted(at)


def test_help_has_no_colours_off_a_terminal() -> None:
    assert "\x1b" not in "".join(shown())


def test_one_letter_means_one_thing() -> None:
    meanings: dict[str, set[str]] = {}
    for command in COMMANDS.values():
        for param in command.params:
            short = [opt for opt in param.opts if len(opt) == 2]
            for letter in short:
                meanings.setdefault(letter, set()).add(next(opt for opt in param.opts if len(opt) > 2))
    assert meanings == {
        "-o": {"--output"},
        "-y": {"--yes"},
        "-g": {"--game-id"},
        "-f": {"--follow"},
        "-w": {"--watch"},
        "-n": {"--events", "--games", "--count", "--limit"},  # how many
    }


def test_without_a_command_the_help_is_shown() -> None:
    result = CliRunner().invoke(app, [], prog_name="gmhealth")
    assert result.exit_code == 2
    assert "Usage: gmhealth" in result.output


def test_the_worker_is_loaded_to_run_it_only() -> None:
    look = "import sys, gmhealth.bootstrap; sys.exit('gmhealth.worker' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", look], env=daemon.environment({}), check=False).returncode == 0


def loaded(*words: str) -> set[str]:
    """The packages that a command has loaded when it ends."""
    program = (
        "import sys; sys.argv = ['gmhealth', *sys.argv[1:]]\n"
        "import atexit; atexit.register(lambda: print(*{n.split('.')[0] for n in sys.modules}, file=sys.stderr))\n"
        "from gmhealth.__main__ import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        env=daemon.environment({}),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return set(done.stderr.split())


@pytest.mark.parametrize("words", [("--help",), ("--version",)], ids=" ".join)
def test_help_loads_no_driver_and_no_pydantic(words: tuple[str, ...]) -> None:
    found = loaded(*words)
    assert "typer" in found
    assert found & {"redis", "psycopg", "hiredis", "pydantic", "msgspec"} == set()


@pytest.mark.parametrize(
    "words",
    [("replay", "--help"), ("simulate", "container_oom", "--game-id", "g", "--print")],
    ids=" ".join,
)
def test_what_asks_no_server_loads_no_driver(words: tuple[str, ...]) -> None:
    assert loaded(*words) & {"redis", "psycopg", "hiredis"} == set()


def test_what_runs_unseen_loads_no_rich() -> None:
    assert "rich" not in loaded("simulate", "container_oom", "--game-id", "g", "--print", "-o", "json")
