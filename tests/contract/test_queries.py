"""Looking at a stream: all of it, in pages that keep to a bound in bytes."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from gmhealth.adapters.redis import queries as redis_queries
from gmhealth.adapters.redis.connection import round_trip
from gmhealth.adapters.redis.queries import SOME, RedisQueries
from gmhealth.core.batch_size import FIRST
from gmhealth.core.entry import START, EntryId

ENTRIES = 400
KILOBYTE = b"x" * 1024


@pytest.fixture
def pages(redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many entries each page of a look had; the stream `large` has entries of a kilobyte each."""
    pipeline = redis_client.pipeline(transaction=False)
    for at in range(1, ENTRIES + 1):
        pipeline.xadd("large", {b"name": KILOBYTE}, id=f"{at}-0")
    pipeline.execute()
    sizes: list[int] = []

    def noted(client: redis.Redis, *commands: Any) -> list[Any]:
        replies = round_trip(client, *commands)
        sizes.append(len(replies[0] or ()))
        return replies

    monkeypatch.setattr(redis_queries, "round_trip", noted)
    monkeypatch.setattr(redis_queries, "PAGE_BYTES", 50 * len(KILOBYTE))
    return sizes


def test_no_page_after_the_first_holds_more_than_its_bound_in_bytes(client: redis.Redis, pages: list[int]) -> None:
    found = [entry_id for entry_id, _ in RedisQueries(client).forward("large", START)]
    assert found == [b"%d-0" % at for at in range(1, ENTRIES + 1)]
    assert pages[0] == FIRST
    assert max(pages[1:]) <= 50


def test_nor_does_one_on_the_way_back(client: redis.Redis, pages: list[int]) -> None:
    found = [entry_id for entry_id, _ in RedisQueries(client).backward("large", 390)]
    assert found == [b"%d-0" % at for at in range(ENTRIES, ENTRIES - 390, -1)]
    assert pages[0] == FIRST
    assert max(pages[1:]) <= 50


def test_who_comes_back_after_hours_gets_some_of_what_came_and_then_the_rest(
    client: redis.Redis, pages: list[int]
) -> None:
    at, found = EntryId(5, 0), list[bytes]()
    while some := RedisQueries(client).wait_for({"large": at, "none": START}, 1).get("large"):
        assert len(some) <= SOME
        found += [entry_id for entry_id, _ in some]
        at = EntryId.parse(found[-1]) or at
    assert found == [b"%d-0" % at for at in range(6, ENTRIES + 1)]


@pytest.mark.parametrize(
    ("after", "bound", "count"), [(START, 10_000, ENTRIES), (START, 250, 250), (EntryId(390, 0), 250, 10)]
)
def test_counting_holds_no_more_at_once(
    client: redis.Redis, pages: list[int], after: EntryId, bound: int, count: int
) -> None:
    assert RedisQueries(client).count_after("large", after, bound) == count
    assert max(pages) <= FIRST
