"""Man pages say what the program does, and all of it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from gmhealth.cli.boundary import INTERRUPTED
from gmhealth.cli.doctor import PROBLEM
from gmhealth.errors import GmhealthError
from gmhealth.settings import NAMES, SECRETS
from scripts.man.__main__ import place, stale, wanted
from scripts.man.commands import Command, tree
from scripts.man.pages import EXITS, OTHER_VARIABLES, OVERVIEWS, pages

ROOT = Path(__file__).parents[1]
COMMANDS = list(tree().walk())
KNOWN = {spelling for each in COMMANDS for option in each.options for spelling in option.spellings}
UNIT = "scripts/systemd/gmhealth.service"
NAMED = re.compile(r"\b(gmhealth[\w.-]*)\((\d)\)(?:, ([A-Z][A-Z ]+[A-Z]))?")


def page(name: str) -> str:
    """A page as it stands in the repository, without its escapes."""
    return place(name).read_text(encoding="utf-8").replace("\\-", "-").replace("\\fB", "").replace("\\fR", "")


def test_nothing_is_stale() -> None:
    assert stale(wanted()) == [], "run scripts/man-pages"


def test_a_page_of_a_command_that_is_gone_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.man.__main__.ROOT", tmp_path)
    (tmp_path / "man" / "man1").mkdir(parents=True)
    place("gmhealth-gone.1").touch()
    place("gmhealth.1").write_text("old")
    files = {place(name): text for name, text in pages().items()}
    assert {path.name for path in stale(files)} == {"gmhealth-gone.1", *pages()}


def test_the_tree_is_whole() -> None:
    paths = {" ".join(command.path) for command in COMMANDS}
    assert {"gmhealth", "gmhealth consume", "gmhealth offset reset", "gmhealth dead-letter purge"} <= paths


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command.path))
def test_every_option_and_argument_is_there(command: Command) -> None:
    text = page(f"{command.page}.1")
    for parameter in command.options:
        for spelling in parameter.spellings:
            assert re.search(rf"(?<![\w-]){re.escape(spelling)}(?![\w-])", text), spelling
    for parameter in command.arguments:
        assert parameter.names in text


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command.path))
def test_no_option_is_there_that_is_not(command: Command) -> None:
    assert _options(f"{command.page}.1") <= KNOWN


def test_no_option_is_in_an_overview_that_is_not() -> None:
    others = {"--now", "--profile", "--kind"}  # of systemctl, of scripts/bench and scripts/torture
    others |= {"--databases", "--port", "--unixsocket"}  # of redis-server
    for name in OVERVIEWS:
        assert _options(f"{name}.7") <= KNOWN | others


def _options(name: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", page(name)))


def test_each_page_and_section_that_a_text_names_is_there() -> None:
    texts = {path.relative_to(ROOT): path.read_text(encoding="utf-8") for path in (ROOT / "gmhealth").rglob("*.py")}
    texts |= {Path(name): page(name) for name in pages()}
    texts |= {Path(name): (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", UNIT)}
    named = [(path, *each) for path, text in texts.items() for each in NAMED.findall(text)]
    assert len({path for path, *_ in named if path.suffix == ".py"}) > 2
    for path, name, volume, title in named:
        assert place(f"{name}.{volume}").exists(), f"{path}: {name}({volume})"
        assert not title or f"\n.SH {title}\n" in page(f"{name}.{volume}"), f"{path}: {name}({volume}), {title}"


def test_every_exit_code_is_explained() -> None:
    classes: set[type[GmhealthError]] = {GmhealthError, *GmhealthError.__subclasses__()}
    assert set(EXITS) == {0, PROBLEM, INTERRUPTED} | {each.exit_code for each in classes}
    for code in EXITS:
        assert f".TP\n{code}\n" in page("gmhealth.1")


def test_every_setting_is_in_the_file_s_page_and_every_variable_in_the_program_s() -> None:
    for name in NAMES:
        assert f".TP\n{name} (" in page("gmhealth.toml.5")
        assert f".TP\nGMHEALTH_{name.upper()}\n" in page("gmhealth.1")
    for name in SECRETS:
        assert f".TP\nGMHEALTH_{name.upper()}_FILE\n" in page("gmhealth.1")
    assert ".TP\nGMHEALTH_CONFIG\n" in page("gmhealth.1")


def test_every_variable_that_the_program_reads_is_explained() -> None:
    inner = {"_GMHEALTH_PROGRAM", "COMP_WORDS", "HOME"}  # between its own processes, and of every program
    read = set()
    for path in (ROOT / "gmhealth").rglob("*.py"):
        read.update(re.findall(r'environ(?:\.get\(|\[)"(\w+)"', path.read_text(encoding="utf-8")))
    assert "NOTIFY_SOCKET" in read
    own = {f"GMHEALTH_{name.upper()}" for name in NAMES}
    assert read - inner - own == set(OTHER_VARIABLES)


def test_every_page_has_one_date() -> None:
    for name in pages():
        assert len(re.findall(r"^\.TH \S+ [157] 20\d\d-\d\d-\d\d ", page(name), re.MULTILINE)) == 1


@pytest.mark.skipif(shutil.which("mandoc") is None, reason="there is no mandoc here")
@pytest.mark.parametrize("path", sorted((ROOT / "man").glob("*/*")), ids=lambda path: path.name)
def test_mandoc_has_nothing_to_complain_of(path: Path) -> None:
    done = subprocess.run(["mandoc", "-Tlint", "-Wwarning", str(path)], capture_output=True, text=True, check=False)
    assert done.stdout + done.stderr == ""
