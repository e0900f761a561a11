"""Dead letters on a real server: whole, byte for byte, and not without bound (I7)."""

from __future__ import annotations

import pytest
import redis

from gmhealth.adapters.redis.ledger import RedisLedger
from gmhealth.core.commit_record import CommitRecord, Server
from gmhealth.core.events import InvalidEntry, Reason, dead_letter
from gmhealth.core.packed_letter import Letter, unpack
from gmhealth.worker.ports import Commit, Dropped
from tests.ledger_keys import KEYS
from tests.streams import raw_entries, text

RECORD = CommitRecord(1, "worker", "", None, "2026-10-10 10:00:00+00", Server(), verified=False)


def commit(ledger: RedisLedger, *bad: InvalidEntry) -> Commit:
    return Commit(ledger.saved(), True, RECORD, dead_letters=bad)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([], id="none"),
        pytest.param([b"%d" % n for n in range(2000)], id="a thousand"),
        pytest.param([b"details", bytes(range(256)) * 4096], id="a megabyte of every byte"),
        pytest.param([b"game_id", b"a", b"game_id", b"b", b"game_id", b"a"], id="one name, three times"),
        pytest.param([b"", b"", b"", b"x"], id="empty names and values"),
        pytest.param([b"letter", b"3:abc,", b"letter", b"\r\n*1\r\n"], id="names of the dead letter's own"),
    ],
)
def test_a_dead_letter_keeps_the_entry_byte_for_byte(
    ledger: RedisLedger, redis_client: redis.Redis, fields: list[bytes]
) -> None:
    assert ledger.commit(commit(ledger, dead_letter((b"3-7", fields), Reason.GAME_ID_MISSING))) is None
    ((_, dead),) = raw_entries(redis_client, KEYS.dead_letters)
    assert unpack(dead[1]) == Letter(b"3-7", "game_id_missing", fields)


def test_dead_letters_are_bounded_and_the_newest_are_kept(client: redis.Redis, redis_client: redis.Redis) -> None:
    ledger = RedisLedger(client, KEYS, dead_letter_limit=200)
    bad = [dead_letter((b"%d-0" % n, []), Reason.GAME_ID_MISSING) for n in range(1, 1001)]
    dropped = ledger.commit(commit(ledger, *bad))
    kept = [fields[1] for _, fields in raw_entries(redis_client, KEYS.dead_letters)]
    assert 200 <= len(kept) <= 300  # a node of the stream holds a hundred, and nodes go whole
    assert kept == [item.packed for item in bad][-len(kept) :]
    assert dropped == Dropped(1000 - len(kept))


def test_every_one_that_is_dropped_is_counted_and_none_that_was_purged(
    client: redis.Redis, redis_client: redis.Redis
) -> None:
    ledger = RedisLedger(client, KEYS, dead_letter_limit=100)
    bad = [dead_letter((b"%d-0" % n, []), Reason.GAME_ID_MISSING) for n in range(1, 151)]
    told = 0
    for _ in range(5):
        outcome = ledger.commit(commit(ledger, *bad))
        told += outcome.letters if isinstance(outcome, Dropped) else 0
        redis_client.xdel(KEYS.dead_letters, raw_entries(redis_client, KEYS.dead_letters)[-1][0])
    assert told == 5 * 150 - 5 - redis_client.xlen(KEYS.dead_letters)
    assert text(redis_client, KEYS.dropped) == str(told)
    assert ledger.commit(commit(ledger)) is None


def test_a_count_that_is_none_begins_anew(client: redis.Redis, redis_client: redis.Redis) -> None:
    ledger = RedisLedger(client, KEYS, dead_letter_limit=100)
    redis_client.set(KEYS.dropped, "garbage")
    outcome = ledger.commit(commit(ledger, *[dead_letter((b"1-1", []), Reason.GAME_ID_MISSING)] * 500))
    assert isinstance(outcome, Dropped)
    assert text(redis_client, KEYS.dropped) == str(outcome.letters)
