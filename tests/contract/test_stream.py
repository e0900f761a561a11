"""Reading the stream on a real server: which entries, in raw bytes, and what was true right after."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from gmhealth.adapters.redis import stream as redis_stream
from gmhealth.adapters.redis.stream import RedisStream
from gmhealth.core.commit_record import CommitRecord, Server
from gmhealth.core.continuity import StreamState
from gmhealth.core.entry import START, EntryId
from gmhealth.core.pause import Pause
from gmhealth.errors import Unusable
from gmhealth.worker.ports import Read, Saved
from tests.eventually import eventually
from tests.ledger_keys import KEYS

END = EntryId(2**64 - 1, 2**64 - 1)
RECORD = CommitRecord(3, "worker", "7-0", None, "2026-10-10 10:00:00+00", Server(), verified=False)


def add(client: redis.Redis, *ids: str) -> None:
    for entry_id in ids:
        client.execute_command("XADD", "events", entry_id, "game_id", "game-a")


def ids(read: Read) -> list[str]:
    return [entry_id.decode() for entry_id, _ in read.entries]


READS: list[Callable[[RedisStream, EntryId, int], Read]] = [
    lambda stream, after, limit: stream.read(after, limit, 1),
    lambda stream, after, limit: stream.read_range(after, END, limit),
]
either_read = pytest.mark.parametrize("read", READS, ids=["read", "read_range"])


@either_read
def test_reading_is_strictly_after_in_order_and_limited(
    stream: RedisStream, redis_client: redis.Redis, read: Callable[[RedisStream, EntryId, int], Read]
) -> None:
    add(redis_client, "9-0", "10-0", "10-1", "11-0")
    assert ids(read(stream, START, 100)) == ["9-0", "10-0", "10-1", "11-0"]
    assert ids(read(stream, EntryId(9, 0), 2)) == ["10-0", "10-1"]
    assert ids(read(stream, EntryId(10, 0), 100)) == ["10-1", "11-0"]
    assert ids(read(stream, EntryId(11, 0), 100)) == []


@either_read
def test_a_stream_that_does_not_exist_has_no_entries(
    stream: RedisStream, read: Callable[[RedisStream, EntryId, int], Read]
) -> None:
    assert read(stream, START, 100).entries == []


def test_a_range_ends_with_its_last_entry(stream: RedisStream, redis_client: redis.Redis) -> None:
    add(redis_client, "1-0", "2-0", "3-0", "4-0")
    assert ids(stream.read_range(EntryId(1, 0), EntryId(3, 0), 100)) == ["2-0", "3-0"]
    assert ids(stream.read_range(EntryId(3, 0), EntryId(3, 0), 100)) == []
    assert ids(stream.read_range(EntryId(4, 0), EntryId(3, 0), 100)) == []


def test_a_blocked_read_gets_what_arrives(stream: RedisStream, client: redis.Redis, redis_client: redis.Redis) -> None:
    number = client.client_id()
    with ThreadPoolExecutor() as pool:
        read = pool.submit(stream.read, START, 10, 4000)
        eventually(lambda: "b" in redis_client.client_list(client_id=[number])[0]["flags"])
        add(redis_client, "1-0")
        assert ids(read.result()) == ["1-0"]


@either_read
def test_fields_come_in_raw_bytes_repeated_names_and_all(
    stream: RedisStream, redis_client: redis.Redis, read: Callable[[RedisStream, EntryId, int], Read]
) -> None:
    fields = [b"game_id", b"\xff\0", b"game_id", b"b", b"", b""]
    redis_client.execute_command("XADD", "events", "1-0", *fields)
    assert [(entry_id, given) for entry_id, given in read(stream, START, 10).entries] == [(b"1-0", fields)]


@either_read
def test_each_read_looks_at_the_saved_offset_and_for_a_pause(
    stream: RedisStream, redis_client: redis.Redis, read: Callable[[RedisStream, EntryId, int], Read]
) -> None:
    redis_client.set(KEYS.offset, "7")
    redis_client.set(KEYS.record, RECORD.pack())
    assert read(stream, START, 10).saved == Saved("7", RECORD.pack(), EntryId(7, 0), RECORD)
    pause = Pause("anna@host", "a migration", None, "ab12")
    redis_client.set(KEYS.pause, pause.pack())
    assert read(stream, START, 10).saved.pause == pause


@either_read
def test_unbroken_says_whether_the_entry_read_after_is_still_there(
    stream: RedisStream, redis_client: redis.Redis, read: Callable[[RedisStream, EntryId, int], Read]
) -> None:
    add(redis_client, "1-0", "2-0", "3-0", "4-0")
    assert read(stream, EntryId(2, 0), 10).unbroken
    assert read(stream, START, 10).unbroken
    redis_client.xtrim("events", minid="3-0", approximate=False)
    assert not read(stream, EntryId(2, 0), 10).unbroken
    redis_client.xdel("events", "3-0")
    assert not read(stream, EntryId(3, 0), 10).unbroken
    assert read(stream, EntryId(4, 0), 10).unbroken


@either_read
def test_a_stream_of_another_type_is_unusable(
    stream: RedisStream, redis_client: redis.Redis, read: Callable[[RedisStream, EntryId, int], Read]
) -> None:
    redis_client.set("events", "somebody else's")
    with pytest.raises(Unusable, match="WRONGTYPE"):
        read(stream, START, 10)
    with pytest.raises(Unusable, match="WRONGTYPE"):
        stream.state()


@either_read
@pytest.mark.parametrize("key", [KEYS.offset, KEYS.record, KEYS.pause])
def test_an_offset_record_or_pause_of_another_type_is_unusable(
    stream: RedisStream, redis_client: redis.Redis, read: Callable[[RedisStream, EntryId, int], Read], key: str
) -> None:
    redis_client.rpush(key, "somebody else's")
    with pytest.raises(Unusable, match="WRONGTYPE"):
        read(stream, START, 10)


@either_read
def test_an_offset_that_is_no_entry_id_is_unusable(
    stream: RedisStream, redis_client: redis.Redis, read: Callable[[RedisStream, EntryId, int], Read]
) -> None:
    redis_client.set(KEYS.offset, "latest")
    with pytest.raises(Unusable, match="no entry ID"):
        read(stream, START, 10)


@either_read
def test_any_offset_will_do_for_who_does_not_go_by_it(
    client: redis.Redis, redis_client: redis.Redis, read: Callable[[RedisStream, EntryId, int], Read]
) -> None:
    redis_client.set(KEYS.offset, "latest")
    saved = read(RedisStream(client, "events", KEYS, any_offset=True), START, 10).saved
    assert (saved, saved.is_readable) == (Saved("latest"), False)


def test_an_appended_entry_is_read_as_it_was_given(stream: RedisStream) -> None:
    fields = [b"game_id", b"game-a", b"details", b"\xff"]
    entry_id = stream.append(fields)
    (entry,) = stream.read(START, 10, 1).entries
    assert (entry[0], entry[1]) == (str(entry_id).encode(), fields)


def test_the_state_of_a_missing_stream(stream: RedisStream) -> None:
    assert stream.state() == StreamState(exists=False)


def test_the_state_of_a_whole_stream(stream: RedisStream, redis_client: redis.Redis, entries_counted: bool) -> None:
    add(redis_client, "9-0", "10-0", "10-1")
    added = 3 if entries_counted else None
    assert stream.state() == StreamState(True, 3, added, EntryId(9, 0), EntryId(10, 1), EntryId(10, 1))


def test_the_state_of_a_trimmed_stream_counts_what_is_gone(
    stream: RedisStream, redis_client: redis.Redis, entries_counted: bool
) -> None:
    add(redis_client, "1-0", "2-0", "3-0", "4-0")
    redis_client.xtrim("events", maxlen=2, approximate=False)
    state = stream.state()
    assert (state.length, state.first) == (2, EntryId(3, 0))
    assert (state.entries_added, state.gone) == ((4, 2) if entries_counted else (None, None))


def test_the_state_of_an_empty_stream_remembers_its_last_id(
    stream: RedisStream, redis_client: redis.Redis, entries_counted: bool
) -> None:
    add(redis_client, "1-0", "2-0")
    redis_client.xdel("events", "1-0", "2-0")
    added = 2 if entries_counted else None
    assert stream.state() == StreamState(True, 0, added, last_generated=EntryId(2, 0))


def test_the_state_as_redis_before_7_tells_it(stream: RedisStream, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = [b"length", 1, b"radix-tree-keys", 1, b"radix-tree-nodes", 2, b"last-generated-id", b"1-0", b"groups", 0]
    entry = [b"1-0", [b"a", b"b"]]
    told = [*whole, b"first-entry", entry, b"last-entry", entry]
    monkeypatch.setattr(redis_stream, "round_trip", lambda _client, *_commands: [told])
    assert stream.state() == StreamState(True, 1, None, EntryId(1, 0), EntryId(1, 0), EntryId(1, 0))


def test_a_recreated_stream_counts_from_nothing(
    stream: RedisStream, redis_client: redis.Redis, entries_counted: bool
) -> None:
    add(redis_client, "5-0", "6-0")
    redis_client.delete("events")
    add(redis_client, "1-0")
    assert stream.state().entries_added == (1 if entries_counted else None)
    assert stream.state().last_generated == EntryId(1, 0)
