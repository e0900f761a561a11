"""Standard streams that are not there, or take nothing: no traceback, and an exit code that tells."""

from __future__ import annotations

import pytest
import redis

from tests import daemon
from tests.cli.world import append, event

COMMANDS = [["offset", "show"], ["offset", "reset", "--to-start"], ["replay", "--from-id", "0-1", "--yes"]]
IDS = [" ".join(words[:2]) for words in COMMANDS]


def redirected(how: str, words: list[str], environ: dict[str, str]) -> tuple[int, str]:
    done = daemon.run(words, environ, prefix=["sh", "-c", f'exec "$@" {how}', "sh"])
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


@pytest.mark.parametrize("stream", ["<", ">", "2>"])
@pytest.mark.parametrize("words", COMMANDS, ids=IDS)
def test_a_stream_that_is_closed_is_as_one_that_leads_nowhere(
    environ: dict[str, str], redis_client: redis.Redis, words: list[str], stream: str
) -> None:
    append(redis_client, event("game-a", "probe_failed"))
    assert redirected(f"{stream}&-", words, environ) == redirected(f"{stream}/dev/null", words, environ)


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", [["--version"], ["--help"], ["offset", "show"], ["offset", "show", "-o", "json"]])
def test_a_result_that_cannot_be_written_is_said_to_be_so(
    environ: dict[str, str], words: list[str], unbuffered: str
) -> None:
    code, told = redirected(">/dev/full", words, {**environ, "PYTHONUNBUFFERED": unbuffered})
    assert code == 1
    what, hint = told.splitlines()
    assert what == "gmhealth: the result could not be written: No space left on device"
    assert hint.startswith("  → ")
