"""The unit file: valid, hardened, and in step with the program."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
import redis

from gmhealth.cli.boundary import INTERRUPTED
from gmhealth.errors import ConfigError
from gmhealth.observability.liveness import STALL_S
from gmhealth.settings import SECRETS
from tests import incident
from tests.daemon import run
from tests.games import games

UNIT = Path(__file__).parents[2] / "scripts" / "systemd" / "gmhealth.service"
WORST_SCORE = 15
"""Exposure in tenths, 0 (safe) to 100."""
ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="there is no systemd-analyze here")


def _analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([ANALYZE or "", *arguments], capture_output=True, text=True, check=False)


def _service() -> configparser.SectionProxy:
    parser = configparser.RawConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names keep their capitals
    parser.read_string(UNIT.read_text(encoding="utf-8"))
    return parser["Service"]


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The unit with a program that exists, as `verify` looks for it."""
    text, found = re.subn(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", UNIT.read_text(encoding="utf-8"))
    assert found == 1
    unit = tmp_path / UNIT.name
    unit.write_text(text, encoding="utf-8")
    return unit


@needs_systemd
def test_the_unit_is_valid(installed: Path) -> None:
    done = _analyze("verify", "--man=no", str(installed))
    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
def test_a_fault_in_the_unit_would_be_found(installed: Path) -> None:
    installed.write_text(installed.read_text(encoding="utf-8").replace("Type=notify", "Type=notfy"), encoding="utf-8")
    assert "notfy" in _analyze("verify", "--man=no", str(installed)).stderr


@needs_systemd
def test_the_unit_is_hardened(installed: Path) -> None:
    done = _analyze("security", "--offline=true", f"--threshold={WORST_SCORE}", str(installed))
    assert done.returncode == 0, done.stdout


def test_one_that_is_stopped_while_it_starts_has_not_failed() -> None:
    assert _service()["SuccessExitStatus"] == str(INTERRUPTED)


def test_the_watchdog_waits_as_long_as_a_stall_takes() -> None:
    assert _service()["WatchdogSec"] == f"{STALL_S:g}s"


def test_a_wrong_setting_is_not_tried_again() -> None:
    assert _service()["RestartPreventExitStatus"] == str(ConfigError.exit_code)


def test_every_credential_is_a_secret_that_the_settings_know() -> None:
    credentials = re.findall(r"(?m)^LoadCredential=(\w+):", UNIT.read_text(encoding="utf-8"))
    assert credentials
    assert set(credentials) <= SECRETS


UNDER_MDWE = """
import ctypes, os, sys
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0):  # PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN: what the unit asks for
    sys.exit(99)
os.execv(sys.argv[1], sys.argv[1:])
"""


def _kernel_has_mdwe() -> bool:
    tried = [sys.executable, "-c", UNDER_MDWE, sys.executable, "-c", ""]
    return sys.platform == "linux" and subprocess.run(tried, check=False).returncode == 0


@pytest.mark.skipif(not _kernel_has_mdwe(), reason="this kernel has no PR_SET_MDWE (Linux 6.3)")
def test_the_wheels_need_no_memory_that_is_both_written_and_run(
    redis_client: redis.Redis, pg: psycopg.Connection, redis_url: str, postgres_dsn: str
) -> None:
    incident.record(redis_client, pg)
    environ = {"GMHEALTH_REDIS_URL": redis_url, "GMHEALTH_POSTGRES_DSN": postgres_dsn}
    done = run(
        ["consume", "--once", "--metrics-addr", "127.0.0.1:0"],
        environ,
        prefix=[sys.executable, "-c", UNDER_MDWE],
    )
    assert done.returncode == 0, done.stderr
    expected = incident.expected()["rows"]
    assert {game_id: tuple(game) for game_id, game in games(pg).items()} == {
        game_id: (row["status"], row["current_turn"], row["engine_health"]) for game_id, row in expected.items()
    }
