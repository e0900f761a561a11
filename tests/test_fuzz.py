"""`scripts/fuzz` at a size of seconds: it runs, and what is wrong does not pass."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from random import Random

import psycopg
import pytest
import redis
from msgspec.structs import replace

from gmhealth.core.entry import Entry
from gmhealth.core.events import HealthEvent, InvalidEntry, Reason, dead_letter, decode
from gmhealth.core.packed_letter import pack
from gmhealth.core.rules import EventType
from scripts.fuzzing import decoding, path
from scripts.fuzzing.atheris_target import WORDS, WORDS_FROM, check, split
from scripts.fuzzing.decoding import Wrong, decode_all
from scripts.fuzzing.entries import KINDS, Fields, entries
from tests.daemon import ROOT


def test_it_runs_and_finds_nothing_wrong() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scripts.fuzzing", "--entries", "500", "--flood", "100", "--seed", "7"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "decoded 500 entries" in done.stdout
    assert "byte for byte" in done.stdout
    assert done.stdout.count("flood: ") == 2


def test_the_same_seed_makes_the_same_entries() -> None:
    assert list(islice(entries(5), 200)) == list(islice(entries(5), 200))
    assert list(islice(entries(5), 200)) != list(islice(entries(6), 200))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_is_decoded_as_the_oracle_says(kind: Callable[[Random], Fields]) -> None:
    random = Random(3)
    decode_all(kind(random) for _ in range(5 if kind.__name__ in ("wide", "large") else 2000))


def test_every_reason_is_met() -> None:
    reasons = {reason.value for reason in Reason if reason is not Reason.ROW_REFUSED}
    assert decode_all(islice(entries(1), 20_000)).keys() == {"valid", *reasons}


def _cuts_game_ids(entry: Entry) -> HealthEvent | InvalidEntry:
    found = decode(entry)
    return replace(found, game_id=found.game_id.strip()) if isinstance(found, HealthEvent) else found


def _takes_duplicates(entry: Entry) -> HealthEvent | InvalidEntry:
    found = decode(entry)
    if isinstance(found, InvalidEntry) and found.reason is Reason.DUPLICATE_FIELD:
        return HealthEvent(b"1-1", "game-000", EventType.PROBE_FAILED, 1)
    return found


def _refuses_bad_details(entry: Entry) -> HealthEvent | InvalidEntry:
    return dead_letter(entry, Reason.EVENT_TYPE_UNKNOWN) if b'{"a":' in entry[1] else decode(entry)


@pytest.mark.parametrize("wrong", [_cuts_game_ids, _takes_duplicates, _refuses_bad_details])
def test_a_decoder_that_is_wrong_does_not_pass(
    monkeypatch: pytest.MonkeyPatch, wrong: Callable[[Entry], HealthEvent | InvalidEntry]
) -> None:
    monkeypatch.setattr(decoding, "decode", wrong)
    with pytest.raises(Wrong):
        decode_all(islice(entries(1), 20_000))


@pytest.mark.parametrize("loses", ["a dead letter", "a byte of one", "a row", "the offset"])
def test_a_path_that_is_wrong_does_not_pass(
    monkeypatch: pytest.MonkeyPatch, redis_client: redis.Redis, pg: psycopg.Connection, loses: str
) -> None:
    """What `consume` would leave is put there by hand, but for one thing."""
    site = path.Site(None, redis_client, pg)  # type: ignore[arg-type]  # no server is started
    redis_client.set_response_callback("XRANGE", lambda reply, **_: reply)
    rows = site.reset(Random(1))
    bad: Fields = [b"not", b"an event"]
    kept = pack(b"5-0", "event_type_missing", [b"not", b"an_event"] if loses == "a byte of one" else bad)
    if loses != "a dead letter":
        redis_client.execute_command("XADD", path.DEAD, "*", "letter", kept)
    if loses == "a row":
        pg.execute("UPDATE runtime_records SET engine_health = 'oom' WHERE game_id = 'game-007'")
    redis_client.set(path.OFFSET, "4-0" if loses == "the offset" else "5-0")
    with pytest.raises(Wrong):
        path._check(site, rows, [(b"5-0", bad)], b"5-0")


def test_the_target_of_atheris_reads_any_input() -> None:
    random = Random(2)
    for _ in range(2000):
        check(random.randbytes(random.randrange(40)))
    assert split(bytes([WORDS_FROM, 6]) + b"game-a") == [WORDS[0], b"game-a"]


@pytest.mark.skipif(find_spec("atheris") is None, reason="atheris is not installed (it is nobody's dependency)")
def test_atheris_finds_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "scripts.fuzzing.atheris_target", "-runs=20000", f"-artifact_prefix={tmp_path}/"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
