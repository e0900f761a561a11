"""A password is never shown: not in a log line, an error, a help text, a traceback or a process list."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import quote

import pytest

from gmhealth.bootstrap import Servers
from gmhealth.settings import load_settings
from tests.daemon import environment, run
from tests.e2e.conftest import Gmhealth

CANARY = "canary-7f3a"
OTHER = "canary-b21c"
Over = Callable[[Mapping[str, str]], Gmhealth]


@pytest.fixture
def environ(redis_url: str, postgres_dsn: str) -> dict[str, str]:
    """Both servers, with a password in each address that the servers have no use for."""
    where = redis_url.replace("://", f"://default:{CANARY}@", 1)
    return {"GMHEALTH_REDIS_URL": where, "GMHEALTH_POSTGRES_DSN": f"{postgres_dsn} password={OTHER}"}


COMMANDS = [
    ("consume", "--once"),
    ("status",),
    ("status", "-o", "json"),
    ("doctor",),
    ("doctor", "-o", "json"),
    ("offset", "show", "-o", "json"),
    ("inspect", "game-a"),
    ("dead-letter", "list"),
    ("offset", "reset", "--to-start", "--yes"),
    ("replay", "--from-id", "0"),
    ("--log-level", "debug", "--log-format", "json", "consume", "--once"),
    ("consume", "--help"),
    ("--help",),
    ("no-such-command",),
    ("consume", "--metrics-addr", "nonsense"),
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_no_command_shows_a_password(environ: dict[str, str], arguments: tuple[str, ...]) -> None:
    done = run(arguments, environ)
    _shows_none(done.stdout + done.stderr)


WRONG = {
    "a Redis that is not there": {"GMHEALTH_REDIS_URL": f"redis://u:{CANARY}@127.0.0.1:1/0"},
    "a Redis without a name": {"GMHEALTH_REDIS_URL": f"redis://u:{CANARY}@host.invalid/0"},
    "a slash in a password": {"GMHEALTH_REDIS_URL": f"redis://u:{CANARY}/x@127.0.0.1:1/0"},
    "a hash in a password": {"GMHEALTH_REDIS_URL": f"redis://u:#{CANARY}@127.0.0.1:1/0"},
    "an at in a password": {"GMHEALTH_REDIS_URL": f"redis://u:@{CANARY}@127.0.0.1:1/0"},
    "a question mark in a password": {"GMHEALTH_REDIS_URL": f"redis://u:?{CANARY}@127.0.0.1:1/0"},
    "another scheme": {"GMHEALTH_REDIS_URL": f"http://u:{CANARY}@127.0.0.1:1/0"},
    "no URL": {"GMHEALTH_REDIS_URL": CANARY},
    "a PostgreSQL that is not there": {"GMHEALTH_POSTGRES_DSN": f"postgresql://u:{CANARY}@127.0.0.1:1/x"},
    "a slash in a password of PostgreSQL": {"GMHEALTH_POSTGRES_DSN": f"postgresql://u:a/{CANARY}@127.0.0.1:1/x"},
    "a slash first": {"GMHEALTH_POSTGRES_DSN": f"postgresql://u:{CANARY}/a@127.0.0.1:1/x"},
    "an unknown parameter": {"GMHEALTH_POSTGRES_DSN": f"host=x paswort={CANARY}"},
    "no DSN": {"GMHEALTH_POSTGRES_DSN": CANARY},
    "both kinds of servers": {"GMHEALTH_EMBEDDED": "1"},
    "a wrong setting beside it": {"GMHEALTH_BATCH_SIZE": "many"},
    "a password of its own": {"GMHEALTH_REDIS_PASSWORD": CANARY, "GMHEALTH_REDIS_URL": "redis://127.0.0.1:1/0"},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_no_error_shows_one(environ: dict[str, str], wrong: dict[str, str]) -> None:
    for arguments in (("offset", "show"), ("inspect", "game-a")):
        done = run(arguments, {**environ, **wrong})
        assert done.returncode != 0
        assert "Traceback" not in done.stderr
        _shows_none(done.stdout + done.stderr)


def test_a_wrong_password_is_not_repeated_by_the_server(redis_url: str, postgres_dsn: str) -> None:
    url = redis_url.replace("://", f"://nobody:{CANARY}@", 1)
    done = run(("offset", "show"), {"GMHEALTH_REDIS_URL": url, "GMHEALTH_POSTGRES_DSN": postgres_dsn})
    assert done.returncode == 1, done.stderr
    _shows_none(done.stdout + done.stderr)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a process list is read from /proc")
def test_a_process_list_shows_none(environ: dict[str, str], over: Over) -> None:
    daemon = over(environ).start("consume")
    daemon.says("consuming  offset=")
    _shows_none(Path(f"/proc/{daemon.process.pid}/cmdline").read_text(encoding="utf-8"))
    _shows_none(Path(f"/proc/{daemon.process.pid}/comm").read_text(encoding="utf-8"))
    _shows_none(daemon.said)


CRASH = """
from gmhealth.worker import loop
def crash(self, stop): raise RuntimeError("a bug")
loop.Worker.run = crash
from gmhealth.__main__ import main
main()
"""


def test_a_traceback_shows_none(environ: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CRASH, "consume"], env=environment(environ), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "RuntimeError: a bug" in done.stderr
    _shows_none(done.stdout + done.stderr)


def test_what_holds_one_does_not_show_it(environ: dict[str, str]) -> None:
    settings = load_settings(environ, {}, None)
    _shows_none(repr(settings) + str(settings) + str(settings.redis_url))
    _shows_none(repr(Servers(environ["GMHEALTH_REDIS_URL"], environ["GMHEALTH_POSTGRES_DSN"])))


def _shows_none(text: str) -> None:
    for secret in (CANARY, OTHER, quote(CANARY)):
        assert secret not in text
