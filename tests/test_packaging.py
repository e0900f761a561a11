"""Wheel and sdist: what they hold, and that the wheel alone runs the quickstart."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from email import message_from_string
from email.message import Message
from pathlib import Path

import pytest

import gmhealth
from tests.daemon import ended
from tests.eventually import eventually

ROOT = Path(__file__).parents[1]
EXTRAS = {"embedded"}


def _build(target: str, source: Path, directory: Path) -> Path:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(directory)],
        cwd=source,
        check=True,
        capture_output=True,
    )
    (built,) = directory.iterdir()
    return built


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _build("sdist", ROOT, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the sdist: what that leaves out would be missing here."""
    unpacked = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(unpacked, filter="data")
    (source,) = unpacked.iterdir()
    return _build("wheel", source, tmp_path_factory.mktemp("wheel"))


def _names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def _metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (each for each in archive.namelist() if each.endswith(".dist-info/METADATA"))
        return message_from_string(archive.read(name).decode())


def test_the_wheel_has_all_that_the_program_reads(wheel: Path) -> None:
    there = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "gmhealth").rglob("*")
        if path.is_file() and path.suffix != ".pyc" and "/." not in path.as_posix()  # caches of tools
    }
    assert {Path(name).suffix for name in there} == {".py", ".lua", ".sql", ".typed"}
    assert there <= _names(wheel)


def test_the_wheel_has_what_an_operator_installs(wheel: Path) -> None:
    data = {name.partition(".data/data/")[2] for name in _names(wheel)}
    pages = {f"share/man/{page.parent.name}/{page.name}" for page in (ROOT / "man").glob("*/*")}
    assert len(pages) > 5
    assert pages <= data
    assert {
        "lib/systemd/system/gmhealth.service",
        "share/gmhealth/sql/role.sql",
        "share/gmhealth/redis/users.acl",
        "share/gmhealth/alerts/gmhealth.rules.yml",
        "share/gmhealth/grafana/gmhealth.json",
    } <= data


def test_the_wheel_has_nothing_else(wheel: Path) -> None:
    tops = {name.partition("/")[0] for name in _names(wheel)}
    version = gmhealth.__version__
    assert tops == {"gmhealth", f"gmhealth-{version}.data", f"gmhealth-{version}.dist-info"}
    assert not [name for name in _names(wheel) if "test" in name or name.endswith(".pyc")]


def test_the_metadata_says_what_it_is(wheel: Path) -> None:
    metadata = _metadata(wheel)
    assert metadata["Version"] == gmhealth.__version__
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == ">=3.11"
    assert set(metadata.get_all("Provides-Extra", [])) == EXTRAS
    assert metadata.get_payload(), "the README"


def test_the_sdist_has_what_the_tests_need(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "README.md", "pyproject.toml", "requirements.lock", "scripts/test", "tests/conftest.py"} <= names
    names.discard(".gitignore")  # hatchling cannot do without
    assert not [name for name in names if "/." in f"/{name}" or name.endswith(".pyc")]


def test_every_dependency_is_in_the_lock_with_its_hash() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    wanted += [each for extra in project["project"]["optional-dependencies"].values() for each in extra]
    names = {re.split(r"[<>=\[!~ ]", each, maxsplit=1)[0].lower() for each in wanted}
    blocks = re.split(r"\n(?=\S)", (ROOT / "requirements.lock").read_text(encoding="utf-8"))
    pinned = {block.partition("==")[0].split("[")[0] for block in blocks if "--hash=sha256:" in block}
    assert names - pinned == set(), "run scripts/lock"


def test_it_is_typed_and_licensed(wheel: Path) -> None:
    names = _names(wheel)
    assert "gmhealth/py.typed" in names
    assert f"gmhealth-{gmhealth.__version__}.dist-info/licenses/LICENSE" in names


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with nothing but the wheel and what it asks for, at the versions of the lock."""
    directory = tmp_path_factory.mktemp("installed")
    venv.create(directory, with_pip=True)
    pins = directory / "pins"
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pins.write_text("\n".join(re.findall(r"(?m)^([\w.-]+==[\w.!+-]+)", lock)))
    pip = [str(directory / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    asked = f"gmhealth[embedded] @ {wheel.as_uri()}"
    done = subprocess.run(
        [*pip, "install", "--constraint", str(pins), asked], capture_output=True, text=True, check=False
    )
    if done.returncode and re.search(r"ConnectionError|NewConnectionError|Temporary failure", done.stderr):
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stderr
    return directory


@pytest.mark.timeout(600)
def test_the_quickstart_runs_from_the_wheel_alone(installed: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GMHEALTH_EMBEDDED_DIR": str(state)}
    program = [str(installed / "bin" / "gmhealth"), "--embedded"]
    with (tmp_path / "log").open("wb") as log:
        daemon = subprocess.Popen([*program, "consume"], env=environ, cwd=tmp_path, stderr=log)
    try:
        eventually(lambda: "consuming  offset=" in (tmp_path / "log").read_text(encoding="utf-8"), within=60)
        asked = ["simulate", "container_oom", "--game-id", "game-andromeda", "--wait"]
        done = subprocess.run(
            [*program, *asked], env=environ, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "engine_unreachable" in done.stdout
    finally:
        try:
            daemon.terminate()
            assert daemon.wait(60) == 0
        finally:
            ended(daemon)


@pytest.mark.timeout(600)
def test_the_man_pages_and_the_unit_are_installed(installed: Path) -> None:
    assert (installed / "share" / "man" / "man1" / "gmhealth-consume.1").is_file()
    assert (installed / "lib" / "systemd" / "system" / "gmhealth.service").is_file()
    if shutil.which("man") is not None:
        shown = subprocess.run(
            ["man", "-M", str(installed / "share" / "man"), "--where", "gmhealth.toml"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert shown.stdout.strip().endswith("gmhealth.toml.5")
