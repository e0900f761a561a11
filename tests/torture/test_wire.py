"""Messages are found whole, however the bytes come in."""

from __future__ import annotations

import struct

import pytest

from scripts.torturing.wire import PostgresReplies, PostgresRequests, RedisReplies, RedisRequests


def in_slices(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def redis_command(*arguments: bytes) -> bytes:
    return b"*%d\r\n" % len(arguments) + b"".join(b"$%d\r\n%b\r\n" % (len(one), one) for one in arguments)


def message(mark: bytes, body: bytes) -> bytes:
    return mark + struct.pack("!i", len(body) + 4) + body


STARTUP = struct.pack("!ii", 14, 196608) + b"user\0\0"
PREPARE = message(b"P", b"_pg3_0\0UPDATE runtime_records\0\0\0") + message(b"B", b"\0_pg3_0\0") + message(b"S", b"")
EXECUTE = message(b"B", b"\0_pg3_0\0") + message(b"E", b"\0\0\0\0\0") + message(b"S", b"")
END = message(b"X", b"")


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_redis_commands_and_their_kinds(size: int) -> None:
    commands = [
        redis_command(b"XREAD", b"\r\n*1", b""),
        redis_command(b"GET", b"k"),
        redis_command(b"evalsha", b"x" * 99),
    ]
    requests = RedisRequests()
    found = [request for data in in_slices(b"".join(commands), size) for request in requests.feed(data)]
    assert [request.raw for request in found] == commands
    assert [request.kind for request in found] == ["read", "offset", "publish"]
    assert found[0].arguments == (b"XREAD", b"\r\n*1", b"")


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_redis_replies_and_refusals(size: int) -> None:
    replies = [b"+OK\r\n", b"$-1\r\n", b"*-1\r\n", b"*2\r\n*1\r\n$3\r\na\r\n\r\n:7\r\n", b"$0\r\n\r\n", b"-OOM no\r\n"]
    parser = RedisReplies()
    found = [reply for data in in_slices(b"".join(replies), size) for reply in parser.feed(data)]
    assert [reply.raw for reply in found] == replies
    assert [reply.error for reply in found] == [False] * 5 + [True]


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_postgres_requests_end_with_a_sync_and_prepared_ones_are_known_again(size: int) -> None:
    units = [STARTUP, message(b"Q", b"SET lock_timeout = 1\0"), PREPARE, EXECUTE, END]
    requests = PostgresRequests()
    found = [request for data in in_slices(b"".join(units), size) for request in requests.feed(data)]
    assert [request.raw for request in found] == units
    assert [request.kind for request in found] == ["session", "session", "write", "write", "session"]
    assert [request.answered for request in found] == [True, True, True, True, False]


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_postgres_answers_end_when_it_is_ready_and_last_words_need_no_question(size: int) -> None:
    answer = message(b"E", b"refused\0") + message(b"Z", b"I")
    last_words = message(b"E", b"terminating connection\0")
    replies = PostgresReplies()
    replies.waiting = 1
    found = [reply for data in in_slices(answer + last_words, size) for reply in replies.feed(data)]
    assert b"".join(reply.raw for reply in found) == answer + last_words
    assert found[0].error
    assert found[0].asked
    assert not found[-1].asked
