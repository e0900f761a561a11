"""The last break of the stream, kept on a real server for those who look after the worker has gone on (I9)."""

from __future__ import annotations

import json

import pytest
import redis

from gmhealth.adapters.redis.ledger import RedisLedger
from gmhealth.core.continuity import BREAKS, Break, EntriesLost, RolledBack, StreamBehind, StreamGone, StreamReplaced
from gmhealth.core.entry import EntryId
from gmhealth.errors import Unusable
from tests.ledger_keys import KEYS

AT = EntryId(2**64 - 1, 7)
KEPT: list[Break] = [
    EntriesLost(AT, EntryId(5, 0), 3, exact=True),
    EntriesLost(AT, None, None, exact=False),
    StreamBehind(AT, EntryId(1, 2)),
    StreamReplaced(AT, EntryId(5, 0), 0),
    StreamReplaced(AT, None, 2),
    StreamGone(AT),
    RolledBack(AT, EntryId(5, 0)),
    RolledBack(AT, None),
]


def test_every_kind_is_tried() -> None:
    assert {each.kind for each in KEPT} == set(BREAKS)


@pytest.mark.parametrize("broken", KEPT)
def test_a_break_is_kept_as_it_is(ledger: RedisLedger, broken: Break) -> None:
    ledger.note(broken, 1_790_000_000_000)
    assert ledger.last_break() == (broken, 1_790_000_000_000)


def test_the_last_one_counts_and_the_first_time_it_was_seen(ledger: RedisLedger) -> None:
    assert ledger.last_break() is None
    met: list[Break] = [StreamGone(AT), StreamGone(AT), StreamBehind(AT, AT), StreamBehind(AT, AT)]
    for at_ms, broken in enumerate(met):
        ledger.note(broken, at_ms)
    assert ledger.last_break() == (StreamBehind(AT, AT), 2)


GONE: dict[str, object] = {"kind": "gone", "at_ms": 1, "offset": "1-1"}

TRIMMED: dict[str, object] = {**GONE, "kind": "trimmed", "first_left": None, "lost": 1, "exact": True}
DAMAGED: list[dict[str, object]] = [
    {**GONE, "kind": "other"},
    {**GONE, "kind": []},
    {**GONE, "at_ms": "1"},
    {**GONE, "at_ms": 10**15},
    {**GONE, "at_ms": -1},
    {**GONE, "offset": "x"},
    {**GONE, "offset": None},
    {**GONE, "more": 1},
    {**TRIMMED, "lost": {}},
    {**TRIMMED, "exact": "yes"},
    {**TRIMMED, "first_left": 5},
    {**GONE, "kind": "rolled_back"},
    {**GONE, "kind": "rolled_back", "first_left": "x"},
    {**GONE, "kind": "rolled_back", "first_left": None, "lost": 1},
]


@pytest.mark.parametrize(
    "held",
    [
        "",
        "\x1b[31mgarbage",
        "[]",
        "[" * 100_000,
        *map(json.dumps, DAMAGED),
    ],
)
def test_what_is_none_is_taken_for_none_and_written_over(
    ledger: RedisLedger, redis_client: redis.Redis, held: str
) -> None:
    redis_client.set(KEYS.last_break, held)
    assert ledger.last_break() is None
    ledger.note(StreamGone(AT), 5)
    assert ledger.last_break() == (StreamGone(AT), 5)


def test_a_key_of_another_type_is_not_written_over(ledger: RedisLedger, redis_client: redis.Redis) -> None:
    redis_client.rpush(KEYS.last_break, "somebody else's")
    with pytest.raises(Unusable, match="WRONGTYPE"):
        ledger.note(StreamGone(AT), 5)
