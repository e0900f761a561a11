"""The ledger on a real server: what a commit writes, and when it writes nothing at all (I5, I6)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha1
from uuid import uuid4

import pytest
import redis
from msgspec.structs import replace as changed

from gmhealth.adapters.redis import connection as redis_connection
from gmhealth.adapters.redis import ledger as redis_ledger
from gmhealth.adapters.redis.ledger import RedisLedger
from gmhealth.core.commit_record import CommitRecord, Server, unpack
from gmhealth.core.entry import START, EntryId
from gmhealth.core.events import MAX_OCCURRED_AT_MS, Reason, dead_letter
from gmhealth.core.journal import Done, Line, Stored, pack_lines, pack_repairs, unpack_events, unpack_lines
from gmhealth.core.outage import Outage
from gmhealth.core.pause import UNREADABLE, Pause
from gmhealth.core.plan import Row
from gmhealth.core.snapshot import Snapshot
from gmhealth.embedded import EmbeddedServers
from gmhealth.errors import Unusable
from gmhealth.worker.ports import Commit, Saved
from tests.eventually import eventually
from tests.ledger_keys import KEYS
from tests.streams import everything, raw_entries

SNAPSHOTS = [
    Snapshot("game-a", 7, "engine_unreachable", "oom", 1_790_000_000_001),
    Snapshot("game-b", 0, "running", "healthy", 1_790_000_000_002),
]
BAD = dead_letter((b"4-2", [b"game_id", b"", b"game_id", b"\xff\0"]), Reason.DUPLICATE_FIELD)
RECORD = CommitRecord(
    n=1,
    worker="worker",
    offset="5-1",
    entries_read=12,
    written_at="2026-10-10 10:00:00.000001+00",
    server=Server("7300000000000000001", "00000001", "2026-10-01 00:00:00+00"),
    verified=True,
)
NEXT = changed(RECORD, n=2)
PAUSE = Pause("anna@host", "a migration", 1_795_449_364_420, "ab12")
COMMIT = Commit(Saved(None), True, RECORD, EntryId(5, 1), SNAPSHOTS, [BAD], "consume")
SAVED = Saved("5-1", RECORD.pack(), EntryId(5, 1), RECORD)
"""What `COMMIT` leaves."""
FIRST_FORM = b"0-5 name#12\ttail"
"""A record of another version."""
EMPTY = Commit(Saved(None), True, RECORD)
ROW = Stored("game-a", Row("running", 7, "healthy"), RECORD.written_at, 1_790_000_000_000)
LINES = [Line("game-a", "running", "healthy", "engine_unreachable", "running", "healthy", RECORD.written_at)]
FULL = replace(COMMIT, journal=pack_repairs([ROW]), writes=pack_lines(LINES), games=1)
TYPED = [KEYS.offset, KEYS.record, KEYS.snapshots, KEYS.dead_letters, KEYS.dropped, KEYS.journal, KEYS.writes]
OLD = 300
"""Entries that are to go: three nodes of a stream, as servers are set."""


def sent(client: redis.Redis) -> list[list[bytes]]:
    """The snapshots' fields, names and values in turn."""
    return [fields for _, fields in raw_entries(client, KEYS.snapshots)]


def fill(client: redis.Redis, stream: str, *ids: str) -> None:
    pipeline = client.pipeline(transaction=False)
    for entry_id in ids:
        pipeline.execute_command("XADD", stream, entry_id, "a", entry_id)
    pipeline.execute()


def entry_ids(client: redis.Redis, stream: str) -> list[str]:
    return [entry_id for entry_id, _ in raw_entries(client, stream)]


def test_nothing_is_saved_at_first(ledger: RedisLedger) -> None:
    assert ledger.saved() == Saved(None, b"", START, None)


@pytest.mark.parametrize(("text", "entry_id"), [("5", EntryId(5, 0)), ("5-0", EntryId(5, 0)), ("5-12", EntryId(5, 12))])
def test_the_offset_is_kept_as_it_is_written(
    ledger: RedisLedger, redis_client: redis.Redis, text: str, entry_id: EntryId
) -> None:
    redis_client.set(KEYS.offset, text)
    assert ledger.saved() == Saved(text, b"", entry_id)


@pytest.mark.parametrize(("packed", "pause"), [(PAUSE.pack(), PAUSE), (b"", UNREADABLE), (b"on", UNREADABLE)])
@pytest.mark.parametrize("offset", ["5-1", None])
def test_a_pause_is_loaded_with_them_and_takes_no_part_in_the_fence(
    ledger: RedisLedger, redis_client: redis.Redis, packed: bytes, pause: Pause, offset: str | None
) -> None:
    redis_client.set(KEYS.pause, packed)
    if offset is not None:
        redis_client.set(KEYS.offset, offset)
    found = ledger.saved()
    assert found == Saved(offset, b"", EntryId.parse(offset or "") or START, None, pause)
    redis_client.delete(KEYS.pause)
    assert ledger.commit(replace(COMMIT, fence=found)) is None
    redis_client.set(KEYS.pause, packed)
    assert ledger.commit(COMMIT) == SAVED, "the answer of a commit has no pause"


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


def test_a_replay_is_fenced_by_the_record_alone(ledger: RedisLedger, redis_client: redis.Redis) -> None:
    assert ledger.commit(COMMIT) is None
    fence = ledger.saved()
    redis_client.set(KEYS.offset, "7-0")
    replay = Commit(fence, False, NEXT, snapshots=SNAPSHOTS, job="replay")
    assert ledger.commit(replay) is None
    assert ledger.saved() == Saved("7-0", NEXT.pack(), EntryId(7, 0), NEXT)
    before = everything(redis_client)
    assert ledger.commit(replace(replay, record=changed(NEXT, n=3))) == ledger.saved()
    assert everything(redis_client) == before


def test_a_commit_writes_snapshots_letters_offset_and_record(ledger: RedisLedger, redis_client: redis.Redis) -> None:
    assert ledger.commit(COMMIT) is None
    assert ledger.saved() == SAVED
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
    redis_client.set(KEYS.record, RECORD.pack())
    if stored is not None:
        redis_client.set(KEYS.offset, stored)
    before = everything(redis_client)
    found = ledger.commit(replace(FULL, fence=Saved(fence, RECORD.pack())))
    assert found == Saved(stored, RECORD.pack(), EntryId.parse(stored or RECORD.offset) or START, RECORD)
    assert everything(redis_client) == before


@pytest.mark.parametrize(
    ("stored", "fence"),
    [
        pytest.param(NEXT.pack(), RECORD.pack(), id="another commit"),
        pytest.param(NEXT.pack(), b"", id="a first commit"),
        pytest.param(None, RECORD.pack(), id="deleted"),
        pytest.param(RECORD.pack() + b" ", RECORD.pack(), id="one record, other bytes"),
        pytest.param(FIRST_FORM, b"", id="of the first form"),
    ],
)
@pytest.mark.parametrize("fences_offset", [True, False])
def test_a_commit_after_another_record_writes_nothing(
    ledger: RedisLedger, redis_client: redis.Redis, stored: bytes | None, fence: bytes, fences_offset: bool
) -> None:
    redis_client.set(KEYS.offset, "5-0")
    if stored is not None:
        redis_client.set(KEYS.record, stored)
    before = everything(redis_client)
    found = ledger.commit(replace(FULL, fence=Saved("5-0", fence), fences_offset=fences_offset))
    assert found == Saved("5-0", stored or b"", EntryId(5, 0), unpack(stored or b""))
    assert everything(redis_client) == before


@pytest.mark.parametrize("unreadable", [FIRST_FORM, b"name#12", b"{}", b"[" * 10_000, b"\xff\0", b" "])
def test_a_record_that_cannot_be_read_is_none_and_fences_all_the_same(
    ledger: RedisLedger, redis_client: redis.Redis, unreadable: bytes
) -> None:
    redis_client.set(KEYS.record, unreadable)
    assert ledger.saved() == Saved(None, unreadable, START, None)
    assert ledger.commit(COMMIT) == ledger.saved()
    assert ledger.commit(replace(COMMIT, fence=ledger.saved())) is None
    assert ledger.saved() == SAVED


def test_an_offset_that_came_back_is_not_the_one_that_was_read(ledger: RedisLedger, redis_client: redis.Redis) -> None:
    """A commit that arrives late does not apply after others, though the offset is the same again."""
    ledger.commit(COMMIT)
    fence = ledger.saved()
    ledger.commit(replace(COMMIT, record=changed(RECORD, worker="another"), fence=fence, offset=EntryId(9, 0)))
    redis_client.set(KEYS.offset, "5-1")
    before = everything(redis_client)
    assert ledger.commit(replace(COMMIT, record=NEXT, fence=fence)) == ledger.saved()
    assert everything(redis_client) == before


def test_a_commit_without_an_offset_leaves_it(ledger: RedisLedger, redis_client: redis.Redis) -> None:
    redis_client.set(KEYS.offset, "7")
    assert ledger.commit(replace(COMMIT, fence=ledger.saved(), offset=None)) is None
    assert ledger.saved() == Saved("7", RECORD.pack(), EntryId(7, 0), RECORD)


@pytest.mark.parametrize("text", ["5", "5-0"])
def test_a_fence_holds_for_the_text_as_it_is_written(ledger: RedisLedger, redis_client: redis.Redis, text: str) -> None:
    redis_client.set(KEYS.offset, text)
    assert ledger.commit(replace(COMMIT, fence=ledger.saved())) is None
    assert ledger.saved().text == "5-1"


def test_the_record_names_the_last_commit_that_was_applied(ledger: RedisLedger) -> None:
    ledger.commit(COMMIT)
    ledger.commit(replace(COMMIT, record=NEXT))  # its fence does not hold
    assert ledger.saved().record == RECORD
    ledger.commit(Commit(ledger.saved(), True, NEXT))
    assert ledger.saved().record == NEXT


@pytest.mark.parametrize("key", TYPED)
@pytest.mark.parametrize("fences_offset", [True, False])
def test_a_key_of_another_type_leaves_nothing_written(
    ledger: RedisLedger, redis_client: redis.Redis, key: str, fences_offset: bool
) -> None:
    redis_client.rpush(key, "somebody else's")
    before = everything(redis_client)
    with pytest.raises(Unusable, match="WRONGTYPE") as caught:
        ledger.commit(replace(FULL, fences_offset=fences_offset))
    assert "names of the streams" in caught.value.hint
    assert everything(redis_client) == before


@pytest.mark.parametrize("key", [KEYS.offset, KEYS.record])
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
        ledger.commit(EMPTY)
        redis_client.delete(KEYS.record)
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
    ledger.commit(replace(COMMIT, fence=ledger.saved(), record=NEXT))
    assert ledger.saved().record == NEXT


def test_a_commit_appends_what_it_did_and_what_it_wrote(ledger: RedisLedger, redis_client: redis.Redis) -> None:
    assert ledger.commit(replace(FULL, record=changed(RECORD, n=2**63 - 1, worker="host:é"))) is None
    ((_, fields),) = raw_entries(redis_client, KEYS.journal)
    entry = dict(zip(fields[::2], fields[1::2], strict=True))
    assert unpack_events(entry.pop(b"events")) == [Done("game-a", "repair", "running", "running", published=True)]
    assert entry == {
        b"n": b"%d" % (2**63 - 1),
        b"worker": "host:é".encode(),
        b"job": b"consume",
        b"at": RECORD.written_at.encode(),
    }
    ((_, written),) = raw_entries(redis_client, KEYS.writes)
    assert (written[0], unpack_lines(written[1])) == (b"lines", LINES)


def test_an_empty_commit_appends_nothing(ledger: RedisLedger, redis_client: redis.Redis) -> None:
    assert ledger.commit(EMPTY) is None
    assert [*everything(redis_client)] == [KEYS.record.encode()]


@pytest.mark.parametrize(
    ("commit", "key"),
    [(replace(EMPTY, journal=b"packed"), KEYS.journal), (replace(EMPTY, writes=b"packed"), KEYS.writes)],
)
def test_each_of_the_two_comes_without_the_other(
    ledger: RedisLedger, redis_client: redis.Redis, commit: Commit, key: str
) -> None:
    assert ledger.commit(commit) is None
    assert {*everything(redis_client)} == {KEYS.record.encode(), key.encode()}


def test_a_refused_commit_appends_nothing(ledger: RedisLedger, redis_client: redis.Redis) -> None:
    ledger.commit(FULL)
    before = everything(redis_client)
    assert ledger.commit(replace(FULL, record=NEXT)) == ledger.saved()
    assert everything(redis_client) == before


def test_writes_older_than_two_minutes_go(ledger: RedisLedger, redis_client: redis.Redis) -> None:
    seconds, _ = redis_client.time()
    now_ms = seconds * 1000
    kept = [f"{now_ms - 100_000 + n}-0" for n in range(OLD)]
    fill(redis_client, KEYS.writes, *(f"{now_ms - 130_000 + n}-0" for n in range(OLD)), *kept)
    assert ledger.commit(FULL) is None
    found = entry_ids(redis_client, KEYS.writes)
    assert found[-OLD - 1 : -1] == kept
    assert len(found) < OLD + OLD // 2, "but for some whose node holds later ones"


@pytest.mark.parametrize(
    ("games", "kept"),
    [([1, 1, 1], 3), ([1, 1, 1, 499_997], 4), ([300_000, 499_999, 1], 2), ([1, 600_000], 1), ([600_000], 1)],
)
def test_the_writes_keep_to_their_bound_in_games(
    ledger: RedisLedger, redis_client: redis.Redis, games: list[int], kept: int
) -> None:
    for number in games:
        assert ledger.commit(replace(FULL, fence=ledger.saved(), games=number)) is None
    found = raw_entries(redis_client, KEYS.writes)
    assert len(found) == kept
    assert found[-1][1][:2] == [b"lines", FULL.writes]


def test_the_journal_loses_what_is_older_than_the_stream(ledger: RedisLedger, redis_client: redis.Redis) -> None:
    fill(redis_client, KEYS.journal, *(f"{n}-0" for n in range(1, 1400)))
    fill(redis_client, KEYS.source, "151-0", "2000-0")
    assert ledger.commit(FULL) is None
    first = EntryId.parse(entry_ids(redis_client, KEYS.journal)[0])
    assert first is not None
    assert 1 < first.ms <= 151


def test_the_journal_keeps_a_thousand_whatever_the_stream_holds(ledger: RedisLedger, redis_client: redis.Redis) -> None:
    fill(redis_client, KEYS.journal, *(f"{n}-0" for n in range(1, 1400)))
    fill(redis_client, KEYS.source, "2000-0")
    assert ledger.commit(FULL) is None
    assert 1000 <= redis_client.xlen(KEYS.journal) < 1100


@pytest.mark.parametrize(("before", "left"), [(999, 1000), (1000, 1001), (1099, 1000), (2499, 1000)])
def test_a_journal_that_can_be_trimmed_exactly_keeps_its_last_thousand(
    own_servers: EmbeddedServers, admin: redis.Redis, before: int, left: int
) -> None:
    admin.config_set("stream-node-max-entries", 1)
    fill(admin, KEYS.journal, *(f"{n}-0" for n in range(1, before + 1)))
    fill(admin, KEYS.source, f"{2**40}-0")
    with redis_connection.connect(own_servers.redis_url) as client:
        assert RedisLedger(client, KEYS, dead_letter_limit=100).commit(FULL) is None
    assert entry_ids(admin, KEYS.journal)[:-1] == [f"{n}-0" for n in range(before - left + 2, before + 1)]


def make_nothing(_: redis.Redis) -> None:
    """No stream of health events at all."""


def make_another_type(client: redis.Redis) -> None:
    client.set(KEYS.source, "somebody else's")


def empty(client: redis.Redis) -> None:
    fill(client, KEYS.source, "2000-0")
    client.xdel(KEYS.source, "2000-0")


@pytest.mark.parametrize("make", [make_nothing, make_another_type, empty])
def test_without_a_stream_to_go_by_the_journal_is_left_as_it_is(
    ledger: RedisLedger, redis_client: redis.Redis, make: Callable[[redis.Redis], None]
) -> None:
    fill(redis_client, KEYS.journal, *(f"{n}-0" for n in range(1, 1400)))
    make(redis_client)
    assert ledger.commit(FULL) is None
    assert redis_client.xlen(KEYS.journal) == 1400


def test_a_user_who_may_not_trim_commits_all_the_same(own_servers: EmbeddedServers, admin: redis.Redis) -> None:
    """Nothing may fail after the first write: the step would be left half done."""
    fill(admin, KEYS.journal, *(f"{n}-0" for n in range(1, 1100)))
    fill(admin, KEYS.source, "2000-0")
    admin.execute_command("ACL", "SETUSER", "clerk", "reset", "on", ">right", "+@all", "-xtrim", "~*")
    with redis_connection.connect(own_servers.redis_url.replace("unix://", "unix://clerk:right@")) as client:
        assert RedisLedger(client, KEYS, dead_letter_limit=100).commit(FULL) is None
    assert admin.xlen(KEYS.journal) == 1100
    assert admin.xlen(KEYS.writes) == 1


def test_an_outage_is_read_as_it_was_shown_with_a_detail_of_a_bounded_length(ledger: RedisLedger) -> None:
    """A server's text may hold bytes that are no UTF-8, as of a path."""
    shown = Outage("PostgreSQL", "Connection", 1_795_449_364, 12, "no \udcff\n" + "x" * 5000)
    ledger.show_outage(shown)
    _, found = ledger.outage()
    assert found is not None
    assert replace(found, detail=shown.detail) == shown
    assert found.detail.startswith("no \\udcff\nxxx")
    assert len(found.detail) < 1100


def test_no_writes_are_recent_at_first(ledger: RedisLedger) -> None:
    assert ledger.recent_writes() == []


@pytest.mark.parametrize("page", [1, 2, 3, 100])
def test_recent_writes_are_those_of_the_last_minute_before_the_newest(
    ledger: RedisLedger, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr(redis_ledger, "PAGE", page)
    recent = ["140000-0", "140000-1", "199999-3", "200000-0", "200000-7"]
    fill(redis_client, KEYS.writes, "1-1", "139999-9", *recent)
    assert ledger.recent_writes() == [each.encode() for each in recent]


def test_the_first_minute_ever_is_recent(ledger: RedisLedger, redis_client: redis.Redis) -> None:
    fill(redis_client, KEYS.writes, "1-1", "59999-0")
    assert ledger.recent_writes() == [b"1-1", b"59999-0"]


def test_recent_writes_are_what_was_committed(ledger: RedisLedger) -> None:
    ledger.commit(FULL)
    ledger.commit(replace(FULL, fence=ledger.saved(), writes=b"\xff\0"))
    assert ledger.recent_writes() == [FULL.writes, b"\xff\0"]


def test_writes_of_another_type_are_unusable(ledger: RedisLedger, redis_client: redis.Redis) -> None:
    redis_client.set(KEYS.writes, "somebody else's")
    with pytest.raises(Unusable, match="WRONGTYPE") as caught:
        ledger.recent_writes()
    assert "names of the streams" in caught.value.hint
