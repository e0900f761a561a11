"""A game whose row PostgreSQL refuses: its events become dead letters, and all others go on (I7)."""

from __future__ import annotations

import pytest

from gmhealth.core.entry import EntryId
from gmhealth.core.events import Reason
from gmhealth.core.journal import unpack_events
from gmhealth.core.packed_letter import unpack
from gmhealth.core.plan import Refusal
from gmhealth.errors import Unusable
from gmhealth.worker.events import BatchDone, Settled
from gmhealth.worker.job import Job
from tests.games import Game, add_game, games
from tests.ledger_keys import KEYS
from tests.worker.scene import Scene

REFUSE = "ALTER TABLE runtime_records ADD CHECK (game_id <> 'game-b' OR engine_health <> 'oom')"
REASON = 'new row for relation "runtime_records" violates check constraint "runtime_records_check"'
ALL = [
    ("1-0", "game-a", "container_oom"),
    ("2-0", "game-b", "container_oom"),
    ("3-0", "game-x", "container_oom"),
    ("4-0", "game-c", "probe_failed"),
    ("5-0", "game-b", "container_oom"),
    ("6-0", "game-a", "probe_recovered"),
]


@pytest.fixture
def refusing(scene: Scene) -> Scene:
    """The row of `game-b` takes no `oom`."""
    for game_id in ("game-a", "game-b", "game-c"):
        add_game(scene.pg, game_id)
    scene.pg.execute(REFUSE)
    for entry_id, game_id, kind in ALL:
        scene.event(entry_id, game_id, kind)
    return scene


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_its_events_become_dead_letters_and_all_others_go_on(refusing: Scene, size: int) -> None:
    actor = refusing.actor(job=Job(batch_size=size, block_ms=1))
    actor.rest()
    assert refusing.offset() == "6-0"
    assert refusing.dead_letters() == ["2-0", "5-0"]
    assert [(each.game_id, each.runtime_status, each.engine_health_summary) for each in refusing.snapshots()] == [
        ("game-a", "engine_unreachable", "oom"),
        ("game-c", "running", "probe_failed"),
        ("game-a", "running", "healthy"),
    ]
    assert games(refusing.pg) == {
        "game-a": Game("running", 7, "healthy"),
        "game-b": Game("running", 7, ""),
        "game-c": Game("running", 7, "probe_failed"),
    }
    done = [report for report in actor.reports if isinstance(report, BatchDone)]
    assert {game: why.sqlstate for batch in done for game, why in batch.refused.items()} == {"game-b": "23514"}


def test_letter_and_journal_say_so(refusing: Scene) -> None:
    refusing.actor().rest()
    _, fields = refusing.redis.execute_command("XRANGE", KEYS.dead_letters, "-", "+")[0]
    letter = unpack(fields[-1])
    assert letter is not None
    assert (letter.reason, letter.detail) == (Reason.ROW_REFUSED.value, f"{REASON}, SQLSTATE 23514")
    assert letter.fields[:4] == [b"game_id", b"game-b", b"event_type", b"container_oom"]
    entries = refusing.redis.execute_command("XRANGE", KEYS.journal, "-", "+")
    done = {each.entry_id: each.outcome for _, fields in entries for each in unpack_events(fields[-1]) or ()}
    assert done == {
        "1-0": "swapped", "2-0": "refused", "3-0": "no_row", "4-0": "health_only", "5-0": "refused", "6-0": "swapped",
    }  # fmt: skip


def test_a_replay_makes_no_dead_letters(refusing: Scene) -> None:
    replay = refusing.actor(job=Job(start=EntryId(1, 0), until=EntryId(6, 0), block_ms=1))
    while not replay.worker.done:
        replay.worker.step()
    assert refusing.dead_letters() == []
    assert [list(report.refused) for report in replay.reports if isinstance(report, BatchDone)] == [["game-b"]]


def test_where_the_table_refuses_most_rows_nothing_is_committed(scene: Scene) -> None:
    scene.pg.execute("ALTER TABLE runtime_records ADD CHECK (engine_health <> 'oom')")
    for number in range(1, 41):
        add_game(scene.pg, f"game-{number}")
        scene.event(f"{number}-0", f"game-{number}", "container_oom")
    with pytest.raises(Unusable, match=r"refused .* of the last .* rows"):
        scene.actor(job=Job(batch_size=100, block_ms=1)).rest()
    assert (scene.offset(), scene.dead_letters(), scene.snapshots()) == (None, [], [])


def test_a_lost_write_that_is_refused_now_stops_no_settling(scene: Scene) -> None:
    for number, game_id in enumerate(("game-a", "game-b"), start=1):
        add_game(scene.pg, game_id)
        scene.event(f"{number}-0", game_id, "container_oom")
    actor = scene.actor()
    actor.rest()
    actor.rows.close()
    scene.wait_until_alone()
    scene.pg.execute("UPDATE runtime_records SET engine_health = '', status = 'running', updated_at = '2020-01-01'")
    scene.pg.execute(REFUSE)
    scene.promotions += 1
    actor.rest()
    settled = [report for report in actor.reports if isinstance(report, Settled)][-1]
    assert settled.refused == {"game-b": Refusal(REASON, "23514")}
    assert games(scene.pg)["game-a"] == Game("engine_unreachable", 7, "oom")
