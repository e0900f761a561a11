"""The ledger on a real server: what a commit writes, and when it writes nothing at all (I5, I6)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha1
from typing import Any
from uuid import uuid4

import pytest
import redis
from msgspec.structs import replace as changed

from gmhealth.adapters import redis_ledger
from gmhealth.adapters.redis_ledger import RedisLedger
from gmhealth.core.entry import START, EntryId
from gmhealth.core.events import MAX_OCCURRED_AT_MS, Reason, refused
from gmhealth.core.snapshot import Snapshot
from gmhealth.core.tail import Tail
from gmhealth.errors import Unusable
from gmhealth.worker.ports import Commit, Saved
from tests.eventually import eventually
from tests.ledger_keys import KEYS
from tests.streams import everything, raw_entries

SNAPSHOTS = [
    Snapshot("game-a", 7, "engine_unreachable", "oom", 1_790_000_000_001),
    Snapshot("game-b", 0, "running", "healthy", 1_790_000_000_002),
]
BAD = refused((b"4-2", [b"game_id", b"", b"game_id", b"\xff\0"]), Reason.DUPLICATE_FIELD)
COMMIT = Commit(Saved(None, None), EntryId(5, 1), "worker#1", SNAPSHOTS, [BAD])


def sent(client: redis.Redis) -> list[list[bytes]]:
    """The snapshots' fields, names and values in turn."""
    return [fields for _, fields in raw_entries(client, KEYS.snapshots)]


def test_nothing_is_saved_at_first(ledger: RedisLedger) -> None:
    assert ledger.saved() == Saved(None, None, START)


@pytest.mark.parametrize(("text", "entry_id"), [("5", EntryId(5, 0)), ("5-0", EntryId(5, 0)), ("5-12", EntryId(5, 12))])
def test_the_offset_is_kept_as_it_is_written(
    ledger: RedisLedger, redis_client: redis.Redis, text: str, entry_id: EntryId
) -> None:
    redis_client.set(KEYS.offset, text)
    assert ledger.saved() == Saved(text, None, entry_id)


@pytest.mark.parametrize("garbage", [b"latest", b"5-", b"-1", b"\xff\xfe", b"5-0\n", b"99999999999999999999"])
def test_an_offset_that_is_no_entry_id_is_refused_and_left_alone(
    ledger: RedisLedger, redis_client: redis.Redis, garbage: bytes
) -> None:
    redis_client.set(KEYS.offset, garbage)
    before = everything(redis_client)
    with pytest.raises(Unusable, match="no entry ID; nothing was changed") as caught:
        ledger.saved()
    assert "offset reset" in caught.value.hint
    with pytest.raises(Unusable):
        ledger.commit(COMMIT)
    assert everything(redis_client) == before


def test_an_empty_offset_is_not_taken_for_none(ledger: RedisLedger, redis_client: redis.Redis) -> None:
    redis_client.set(KEYS.offset, "")
    with pytest.raises(Unusable, match="no entry ID; nothing was changed"):
        ledger.saved()


def test_a_replay_is_fenced_on_the_mark_alone(ledger: RedisLedger, redis_client: redis.Redis) -> None:
    assert ledger.commit(COMMIT) is None
    fence = ledger.saved()
    redis_client.set(KEYS.offset, "7-0")
    replay = Commit(fence, None, "replay#1", SNAPSHOTS, [], beside=True)
    assert ledger.commit(replay) is None
    assert ledger.saved() == Saved("7-0", "replay#1", EntryId(7, 0), committed="5-1")
    before = everything(redis_client)
    assert ledger.commit(replace(replay, mark="replay#2")) == ledger.saved()
    assert everything(redis_client) == before


def test_a_commit_writes_snapshots_dead_letters_offset_and_mark(ledger: RedisLedger, redis_client: redis.Redis) -> None:
    assert ledger.commit(COMMIT) is None
    assert ledger.saved() == Saved("5-1", "worker#1", EntryId(5, 1), committed="5-1")
    assert sent(redis_client) == [
        [part.encode() for pair in snapshot.fields().items() for part in pair] for snapshot in SNAPSHOTS
    ]
    (dead,) = raw_entries(redis_client, KEYS.dead_letters)
    assert dead[1] == [b"letter", BAD.packed]


@pytest.mark.parametrize(
    ("stored", "fence"),
    [
        pytest.param("6-0", "5-0", id="moved on"),
        pytest.param("4-0", "5-0", id="moved back"),
        pytest.param("5-0", "5", id="one place, two texts"),
        pytest.param("5-0", None, id="saved meanwhile"),
        pytest.param(None, "5-0", id="deleted"),
    ],
)
def test_a_commit_whose_fence_does_not_hold_writes_nothing(
    ledger: RedisLedger, redis_client: redis.Redis, stored: str | None, fence: str | None
) -> None:
    redis_client.set(KEYS.mark, "another#9")
    if stored is not None:
        redis_client.set(KEYS.offset, stored)
    before = everything(redis_client)
    found = ledger.commit(replace(COMMIT, fence=Saved(fence, "another#9")))
    assert found == Saved(stored, "another#9", EntryId.parse(stored or "0") or START)
    assert everything(redis_client) == before


def test_an_offset_that_came_back_is_not_the_one_that_was_read(ledger: RedisLedger, redis_client: redis.Redis) -> None:
    """A commit that was held up on its way does not apply after others, though the offset is the same again."""
    ledger.commit(COMMIT)
    fence = ledger.saved()
    ledger.commit(replace(COMMIT, mark="another#1", fence=fence, offset=EntryId(9, 0)))
    redis_client.set(KEYS.offset, "5-1")
    before = everything(redis_client)
    assert ledger.commit(replace(COMMIT, mark="worker#2", fence=fence)) == ledger.saved()
    assert everything(redis_client) == before


@pytest.mark.parametrize(
    ("change", "committed"),
    [
        pytest.param({"offset": EntryId(6, 0)}, "6-0", id="a batch"),
        pytest.param({"offset": None}, "7-7", id="a repair, after the offset was moved"),
        pytest.param({"offset": None, "beside": True}, "5-1", id="a replay, which is none of the consumer's batches"),
    ],
)
def test_the_offset_that_a_consumer_left_is_told_from_where_it_was_moved_to(
    ledger: RedisLedger, redis_client: redis.Redis, change: dict[str, Any], committed: str
) -> None:
    ledger.commit(COMMIT)
    redis_client.set(KEYS.offset, "7-7")
    assert (ledger.saved().text, ledger.saved().committed) == ("7-7", "5-1")
    assert ledger.commit(replace(COMMIT, **{"fence": ledger.saved(), **change})) is None
    assert ledger.saved().committed == committed


@pytest.mark.parametrize("text", ["5", "5-0"])
def test_a_fence_holds_for_the_text_as_it_is_written(ledger: RedisLedger, redis_client: redis.Redis, text: str) -> None:
    redis_client.set(KEYS.offset, text)
    assert ledger.commit(replace(COMMIT, fence=ledger.saved())) is None
    assert ledger.saved().text == "5-1"


def test_the_mark_tells_which_commit_was_the_last_one_applied(ledger: RedisLedger) -> None:
    ledger.commit(COMMIT)
    ledger.commit(replace(COMMIT, mark="worker#2"))  # its fence does not hold
    assert ledger.saved().mark == "worker#1"
    ledger.commit(replace(COMMIT, mark="worker#3", fence=ledger.saved(), snapshots=(), dead_letters=()))
    assert ledger.saved().mark == "worker#3"


@pytest.mark.parametrize("key", [KEYS.offset, KEYS.mark, KEYS.snapshots, KEYS.dead_letters, KEYS.dropped])
@pytest.mark.parametrize("beside", [False, True])
def test_a_key_of_another_type_leaves_nothing_written(
    ledger: RedisLedger, redis_client: redis.Redis, key: str, beside: bool
) -> None:
    redis_client.rpush(key, "somebody else's")
    before = everything(redis_client)
    with pytest.raises(Unusable, match="WRONGTYPE") as caught:
        ledger.commit(replace(COMMIT, beside=beside))
    assert "names of the streams" in caught.value.hint
    assert everything(redis_client) == before


@pytest.mark.parametrize("key", [KEYS.offset, KEYS.mark])
def test_a_key_of_another_type_is_not_taken_for_a_missing_one(
    ledger: RedisLedger, redis_client: redis.Redis, key: str
) -> None:
    redis_client.rpush(key, "somebody else's")
    with pytest.raises(Unusable, match="WRONGTYPE"):
        ledger.saved()


def test_a_large_batch_is_one_commit_in_order(ledger: RedisLedger, redis_client: redis.Redis) -> None:
    many = [Snapshot(f"game-{n}", n, "running", "healthy", n) for n in range(10_000)]
    assert ledger.commit(replace(COMMIT, snapshots=many)) is None
    assert [int(fields[5]) for fields in sent(redis_client)] == list(range(10_000))


@pytest.mark.parametrize(
    "game_id",
    [
        '"quoted" \\ \\u0041',
        "tab\tand\nline",
        "\x01\x1f\x7f",
        "é ü 漢字 🎲 \u2028",
        "123",
        "null",
        "[]",
        " x ",
        "x" * 256,
    ],
)
def test_a_game_is_named_as_it_is_whatever_its_name(ledger: RedisLedger, client: redis.Redis, game_id: str) -> None:
    assert ledger.commit(replace(COMMIT, snapshots=[changed(SNAPSHOTS[0], game_id=game_id)])) is None
    (fields,) = sent(client)
    assert fields[3].decode() == game_id


@pytest.mark.parametrize("number", [0, 2**31 - 1, 1_790_000_000_000, 1_790_000_000_001, MAX_OCCURRED_AT_MS])
def test_numbers_are_written_out_digit_by_digit(ledger: RedisLedger, client: redis.Redis, number: int) -> None:
    snapshot = changed(SNAPSHOTS[0], current_turn=number, occurred_at_ms=number)
    assert ledger.commit(replace(COMMIT, snapshots=[snapshot])) is None
    (fields,) = sent(client)
    assert (fields[5], fields[13]) == (b"%d" % number, b"%d" % number)


@pytest.fixture
def forget_script(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """As SCRIPT FLUSH, which is for the whole server, and would come between the calls of other tests."""

    def forget() -> None:
        script = f"{redis_ledger.COMMIT_SCRIPT}\n-- {uuid4()}"
        monkeypatch.setattr(redis_ledger, "COMMIT_SCRIPT", script)
        monkeypatch.setattr(redis_ledger, "COMMIT_SHA", sha1(script.encode()).hexdigest())

    return forget


def test_a_server_that_forgot_the_script_gets_it_again_and_runs_it_once(
    ledger: RedisLedger, redis_client: redis.Redis, forget_script: Callable[[], None]
) -> None:
    ledger.commit(COMMIT)
    forget_script()
    assert ledger.commit(replace(COMMIT, fence=ledger.saved())) is None
    assert redis_client.xlen(KEYS.snapshots) == 4


@pytest.mark.parametrize("known", [True, False], ids=["script known", "script unknown"])
def test_work_meanwhile_is_done_once_the_commit_has_left(
    ledger: RedisLedger, redis_client: redis.Redis, forget_script: Callable[[], None], known: bool
) -> None:
    if known:
        ledger.commit(replace(COMMIT, offset=None, snapshots=(), dead_letters=(), mark="worker#0"))
        redis_client.delete(KEYS.mark)
    else:
        forget_script()
    seen: list[int] = []

    def meanwhile() -> None:
        if known:
            eventually(lambda: sent(redis_client))
        seen.append(len(sent(redis_client)))

    assert ledger.commit(COMMIT, meanwhile) is None
    assert len(seen) == 1  # also where the script had to be sent after all
    assert len(sent(redis_client)) == 2


def test_what_is_raised_meanwhile_leaves_no_answer_behind(ledger: RedisLedger) -> None:
    def meanwhile() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ledger.commit(COMMIT, meanwhile)
    ledger.commit(replace(COMMIT, fence=ledger.saved(), mark="worker#2"))
    assert ledger.saved().mark == "worker#2"


def test_the_tail_is_saved_by_a_batch_and_kept_by_a_replay(ledger: RedisLedger) -> None:
    tail = Tail("7/00000001", EntryId(3, 1))
    assert ledger.commit(replace(COMMIT, tail=tail)) is None
    assert (ledger.saved().mark, ledger.saved().tail) == (COMMIT.mark, tail)
    replay = Commit(ledger.saved(), None, "replay#1", [], [], Tail("7/00000002", EntryId(4, 0)), beside=True)
    assert ledger.commit(replay) is None
    assert (ledger.saved().mark, ledger.saved().tail) == ("replay#1", tail)
    assert ledger.commit(replace(COMMIT, fence=ledger.saved(), mark="worker#2")) is None
    assert ledger.saved().tail is None


@pytest.mark.parametrize("tail", ["", "7/1", "7/1 ", "7/1 x", "\t\t"])
def test_a_tail_that_cannot_be_read_is_none(ledger: RedisLedger, redis_client: redis.Redis, tail: str) -> None:
    redis_client.set(KEYS.mark, f"5-1 a mark\t{tail}")
    assert (ledger.saved().mark, ledger.saved().tail) == ("a mark", None)
