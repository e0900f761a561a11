"""Answers of Redis that are lost, late or none at all: nothing is sent twice or taken for another's (I5)."""

from __future__ import annotations

import pytest
import redis

from gmhealth.adapters.redis import connection as redis_connection
from gmhealth.adapters.redis.ledger import COMMIT_SCRIPT, RedisLedger
from gmhealth.adapters.redis.stream import RedisStream
from gmhealth.core.commit_record import CommitRecord, Server
from gmhealth.core.entry import START, EntryId
from gmhealth.core.snapshot import Snapshot
from gmhealth.errors import Unavailable, Unusable
from gmhealth.worker.ports import Commit, Saved
from tests.contract.doubles import losing_the_answer_to, saying
from tests.ledger_keys import KEYS

RECORD = CommitRecord(1, "worker", "5-1", None, "2026-10-10 10:00:00+00", Server(), verified=False)
COMMIT = Commit(Saved(None), True, RECORD, EntryId(5, 1), [Snapshot("game-a", 7, "running", "healthy", 1)])


def connected_to(port: int, database: str = "0") -> redis.Redis:
    return redis_connection.connect(f"redis://127.0.0.1:{port}/{database}")


def ledger_over(client: redis.Redis) -> RedisLedger:
    return RedisLedger(client, KEYS, dead_letter_limit=100)


def test_a_server_that_keeps_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_connection, "TIMEOUT_S", 0.5)
    with saying(b"") as port, connected_to(port) as client, pytest.raises(Unavailable, match=r"(?i)timeout"):
        ledger_over(client).saved()


def test_a_late_answer_is_not_taken_for_the_answer_to_the_next_command(
    redis_url: str, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_connection, "TIMEOUT_S", 1.0)
    redis_client.set(KEYS.offset, "7")
    with redis_connection.connect(redis_url) as client:
        stream = RedisStream(client, "events", KEYS)
        with pytest.raises(Unavailable, match=r"(?i)timeout"):
            stream.read(START, 10, 4000)
        redis_client.xadd("events", {"game_id": "game-a"})  # the broken-off read's answer, if anybody listened
        assert ledger_over(client).saved() == Saved("7", entry_id=EntryId(7, 0))


def test_a_commit_whose_answer_is_lost_is_not_sent_again_and_left_its_record(
    redis_url: str, redis_client: redis.Redis, ledger: RedisLedger
) -> None:
    redis_client.script_load(COMMIT_SCRIPT)  # or else the proxy cuts off the answer NOSCRIPT
    database = redis_url.rpartition("db=")[2]
    with losing_the_answer_to(b"EVALSHA", redis_url) as port, connected_to(port, database) as client:
        with pytest.raises(Unavailable):
            ledger_over(client).commit(COMMIT)
        assert redis_client.xlen(KEYS.snapshots) == 1
        assert ledger_over(client).saved().record == RECORD


def test_what_does_not_talk_redis_won_t_learn_it() -> None:
    with (
        saying(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port,
        connected_to(port) as client,
        pytest.raises(Unusable, match="Redis refused to load the offset"),
    ):
        ledger_over(client).saved()
