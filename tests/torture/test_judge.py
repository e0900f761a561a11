"""The judge acquits a clean course of events, and reports each thing that can be wrong with one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from msgspec import json, msgpack
from msgspec.structs import replace as changed

from gmhealth.core.entry import EntryId
from gmhealth.core.journal import Line, pack_lines
from scripts.torturing.contract import CommitRecord
from scripts.torturing.effects import (
    OFFSET,
    RECORD,
    Copied,
    Deleted,
    Effect,
    Fed,
    Fields,
    Noted,
    Refusing,
    Sent,
    Step,
    Trimmed,
    WentBack,
)
from scripts.torturing.history import Evidence
from scripts.torturing.judge import Judge
from scripts.torturing.proxy import Published
from scripts.torturing.reports import Violation
from scripts.torturing.versions import LOSS, Row, Version

OURS, MASTER = "gmhealth consume host:7", "game-master"
ROWS = {"game-0000": Row("running", 1, ""), "game-0001": Row("running", 5, "")}
RUNNING, UNREACHABLE, GENERATING = "running", "engine_unreachable", "generation_in_progress"
LETTER = {b"letter": b"\x93\xc4\x032-0\xafgame_id_missing\x92\xc4\x05noise\xc4\x01!"}

Done = tuple[str, str, str, str, bool]


def event(at: int, game: int, kind: str) -> Fed:
    parts = [b"game_id", b"game-%04d" % game, b"event_type", kind.encode(), b"occurred_at_ms", b"%d" % at]
    return Fed(EntryId(at, 0), tuple(parts))


def version(n: int, game: int, old: str, new: str, turn: int, health: str, by: str = OURS) -> Version:
    """The `n`-th change, made `n` seconds after 1970, as the row says as well."""
    return Version(n, float(n), f"game-{game:04}", by, old, turn, new, turn, health, n * 10**6)


def record(
    number: int, offset: int, second: int, *, worker: str = "host:7:abc", verified: bool = True, started: int = 0
) -> CommitRecord:
    """`offset` 0: none is saved; it is then the so many-th entry, too. `started`: when PostgreSQL was."""
    written_at = f"1970-01-01 00:00:{second:02}+00"
    text = f"{offset}-0" if offset else ""
    server = {"started": f"1970-01-01 00:00:{started:02}+00"}
    return CommitRecord(number, worker, text, offset, written_at, verified, server)


def journal(*done: Done) -> Fields:
    table, ids = [list(each[1:]) for each in done], "\0".join(each[0] for each in done)
    return {b"events": msgpack.encode([table, list(range(len(done))), "", ids])}


def writes(*versions: Version, target: str = "", events: bool = True) -> Fields:
    return {b"lines": pack_lines(line(one, target, events=events) for one in versions)}


def line(version: Version, target: str, *, events: bool) -> Line:
    return Line(
        game_id=version.game_id,
        target=target,
        summary=version.health if events else "",
        before=version.old_status if events else version.status,
        status=version.status,
        engine_health=version.health,
        updated_at=f"1970-01-01 00:00:{version.n:02}+00",
    )


X = Sent("game-0000", 1, UNREACHABLE, "exited", 1)
S = Sent("game-0000", 1, UNREACHABLE, "healthy", 3)
R = Sent("game-0000", 1, RUNNING, "healthy", 4)
MOVED = Sent("game-0001", 5, GENERATING, "oom", 5)
V1 = version(1, 0, RUNNING, UNREACHABLE, 1, "exited")
V2 = version(2, 0, UNREACHABLE, UNREACHABLE, 1, "healthy")
V3 = version(3, 0, UNREACHABLE, RUNNING, 1, "healthy")
V4 = version(4, 1, RUNNING, GENERATING, 5, "", MASTER)
V5 = version(5, 1, GENERATING, GENERATING, 5, "oom")
DONE_5: Done = ("5-0", "conflict", GENERATING, GENERATING, True)


def clean() -> Evidence:
    """A settling and four batches.

    A transition, a dead letter and a start, a recovery, and one that Game Master forestalled.
    """
    second = Step(record(3, 3, 2), EntryId(3, 0), [S], [LETTER], None, None, writes(V2))
    second.journal = journal(("3-0", "health_only", UNREACHABLE, UNREACHABLE, True))
    effects: list[Effect] = [
        Step(record(1, 0, 0)),
        event(1, 0, "container_exited"),
        batch(record(2, 1, 1), [X], [("1-0", "swapped", RUNNING, UNREACHABLE, True)], V1, UNREACHABLE),
        Fed(EntryId(2, 0), (b"noise", b"!")),
        event(3, 0, "container_started"),
        second,
        event(4, 0, "probe_recovered"),
        batch(record(4, 4, 3), [R], [("4-0", "swapped", UNREACHABLE, RUNNING, True)], V3, RUNNING),
        event(5, 1, "container_oom"),
        batch(record(5, 5, 5), [MOVED], [DONE_5], V5, UNREACHABLE),
    ]
    rows = {"game-0000": Row(RUNNING, 1, "healthy"), "game-0001": Row(GENERATING, 5, "oom")}
    return Evidence(effects, [V1, V2, V3, V4, V5], sent_at(effects), (), rows, 4)


def batch(
    committed: CommitRecord, sent: Sequence[Sent], done: Sequence[Done], written: Version, target: str = ""
) -> Step:
    """A batch that is about one game."""
    offset = EntryId.parse(committed.offset)
    return Step(committed, offset, list(sent), journal=journal(*done), writes=writes(written, target=target))


def repair(committed: CommitRecord, *shown: Version) -> Step:
    """Rows as they stand, without an event."""
    sent = [Sent(one.game_id, one.turn, one.status, one.health, one.updated_us // 1000) for one in shown]
    done = [(one.game_id, "repair", one.status, one.status, True) for one in shown]
    return Step(committed, None, sent, journal=journal(*done), writes=writes(*shown, events=False))


def sent_at(effects: Sequence[Effect]) -> list[Published]:
    """Each commit leaves a tenth of a second after its rows were written; one without a batch half a second."""
    steps = [effect for effect in effects if isinstance(effect, Step) and effect.record is not None]
    return [
        Published(step.record.written_us / 10**6 + (0.5 if step.offset is None else 0.1), (b"", packed(step.record)))
        for step in steps
        if step.record is not None
    ]


def packed(committed: CommitRecord) -> bytes:
    return json.encode(committed)


def with_more(evidence: Evidence, *more: Effect, versions: Sequence[Version] = (), **changes: object) -> Evidence:
    """Go on after `evidence`."""
    effects = [*evidence.effects, *more]
    found = replace(evidence, effects=effects, versions=[*evidence.versions, *versions], wire=sent_at(effects))
    sent = sum(len(one.sent) for one in effects if isinstance(one, Step))
    return replace(replace(found, lobby=sent), **changes)  # type: ignore[arg-type]


def judged(evidence: Evidence) -> list[Violation]:
    return Judge(ROWS).judge(evidence)


def rules(evidence: Evidence) -> set[str]:
    return {violation.rule for violation in judged(evidence)}


def with_step(evidence: Evidence, at: int, **changes: object) -> Evidence:
    effects = list(evidence.effects)
    step = effects[at]
    assert isinstance(step, Step)
    effects[at] = replace(step, **changes)  # type: ignore[arg-type]
    sent = sum(len(one.sent) for one in effects if isinstance(one, Step))
    return replace(evidence, effects=effects, lobby=sent)


def with_record(evidence: Evidence, at: int, **changes: object) -> Evidence:
    step = list(evidence.effects)[at]
    assert isinstance(step, Step)
    assert step.record is not None
    return with_more(with_step(evidence, at, record=changed(step.record, **changes)))


def with_version(evidence: Evidence, n: int, **changes: object) -> Evidence:
    found = [one._replace(**changes) if one.n == n else one for one in evidence.versions]  # type: ignore[arg-type]
    return replace(evidence, versions=found)


def without_version(evidence: Evidence, n: int) -> Evidence:
    return replace(evidence, versions=[one for one in evidence.versions if one.n != n])


def test_a_writer_is_known_by_its_name_whatever_it_waits_for() -> None:
    assert V1.pid == 7
    assert V1._replace(by=f"{OURS} !OOM 1795465060 3").pid == 7
    assert V1._replace(by="gmhealth second host:8").pid == 8
    assert V1._replace(by=MASTER).pid is None


def test_a_clean_course_is_acquitted() -> None:
    assert judged(clean()) == []


@pytest.mark.parametrize(
    ("tamper", "rule"),
    [
        pytest.param(lambda it: with_step(it, 2, sent=[]), "I3", id="a transition is not published"),
        pytest.param(lambda it: with_step(it, 5, sent=[]), "D4", id="another summary is not published"),
        pytest.param(lambda it: with_step(it, 5, sent=[X, S]), "I5", id="a snapshot is sent once more"),
        pytest.param(lambda it: with_step(it, 5, sent=[S._replace(turn=2)]), "D5", id="a turn that never was"),
        pytest.param(lambda it: with_step(it, 5, dead=[]), "I7", id="a dead letter is lost"),
        pytest.param(lambda it: with_step(it, 5, dead=[LETTER, LETTER]), "I7", id="a dead letter comes twice"),
        pytest.param(lambda it: with_step(it, 9, offset=EntryId(4, 0)), "I6", id="a commit goes nowhere"),
        pytest.param(lambda it: with_version(it, 5, at=5.2), "I1", id="the offset passes what is written later"),
        pytest.param(lambda it: with_step(it, 9, offset=None), "I1", id="drained, and the offset is behind"),
        pytest.param(lambda it: with_step(it, 2, record=None), "I5", id="somebody else sends"),
        pytest.param(lambda it: with_step(it, 0, dead=[LETTER]), "I7", id="a dead letter without a batch"),
        pytest.param(lambda it: replace(it, lobby=5), "I5", id="a snapshot that nobody committed"),
        pytest.param(lambda it: without_version(it, 5), "I1", id="the offset passes what was not written"),
        pytest.param(lambda it: with_version(it, 2, health="oom"), "I1", id="another summary is written"),
        pytest.param(lambda it: with_version(it, 5, status=RUNNING), "I4", id="another writer's status is overruled"),
        pytest.param(lambda it: with_version(it, 5, turn=6), "I4", id="another writer's turn is overruled"),
        pytest.param(lambda it: with_version(it, 5, updated_us=3), "I3", id="a row is written as of an earlier time"),
        pytest.param(lambda it: with_record(it, 9, n=4), "I5", id="a number comes twice"),
        pytest.param(lambda it: with_record(it, 9, offset="4-0"), "I6", id="the record has another offset"),
        pytest.param(lambda it: with_record(it, 9, entries_read=4), "I9", id="the record has miscounted"),
        pytest.param(lambda it: with_record(it, 9, worker="host:7:x"), "I6", id="another process did not settle"),
        pytest.param(lambda it: with_record(it, 0, verified=False), "I6", id="a batch before it was verified"),
        pytest.param(lambda it: with_step(it, 9, journal=None), "journal", id="nothing is in the journal"),
        pytest.param(lambda it: with_step(it, 9, writes=None), "journal", id="nothing is in the writes"),
        pytest.param(
            lambda it: replace(it, rows={**it.rows, "game-0000": Row(RUNNING, 1, "oom")}), "I10", id="a row differs"
        ),
        pytest.param(lambda it: with_more(it, Step(record(6, 5, 5))), "I5", id="it settles without a cause"),
    ],
)
def test_what_is_wrong_is_noticed(tamper: Callable[[Evidence], Evidence], rule: str) -> None:
    assert rule in rules(tamper(clean()))


def test_only_after_it_settled_is_anything_published_again() -> None:
    again = Sent("game-0000", 1, RUNNING, "healthy", 6)
    written = version(8, 0, RUNNING, RUNNING, 1, "healthy")
    done: Done = ("6-0", "health_only", RUNNING, RUNNING, True)
    settled, fed = Step(record(6, 5, 5)), event(6, 0, "container_started")

    after = with_more(clean(), fed, batch(record(6, 6, 8), [again], [done], written), versions=[written])
    assert rules(after) == {"I5"}
    last = batch(record(7, 6, 8), [again], [done], written)
    after = with_more(clean(), settled, fed, last, versions=[written])
    assert rules(after) == {"I5"}
    assert rules(replace(after, disturbed=[5.3])) == set()
    silent = with_step(replace(after, disturbed=[5.3]), 12, sent=[], journal=journal((*done[:4], False)))
    assert rules(silent) == {"D4"}


def after_a_crash(*shown: Version) -> Evidence:
    """Another process settles; the row of game 0 was written, and its batch was not committed."""
    lost = version(6, 0, RUNNING, UNREACHABLE, 1, "exited")
    again = version(9, 0, UNREACHABLE, UNREACHABLE, 1, "exited")
    worker = "host:8:abc"
    settled = repair(record(6, 5, 7, worker=worker), *shown)
    done: Done = ("6-0", "conflict", UNREACHABLE, UNREACHABLE, True)
    sent = Sent("game-0000", 1, UNREACHABLE, "exited", 6)
    last = batch(record(7, 6, 9, worker=worker), [sent], [done], again, UNREACHABLE)
    rows = {**clean().rows, "game-0000": Row(UNREACHABLE, 1, "exited")}
    written = [lost, again._replace(by="gmhealth consume host:8")]
    return with_more(clean(), event(6, 0, "container_exited"), settled, last, versions=written, rows=rows)


def test_what_a_crash_left_unpublished_is_published_as_it_stands_and_nothing_else_is() -> None:
    lost = version(6, 0, RUNNING, UNREACHABLE, 1, "exited")
    assert judged(after_a_crash(lost)) == []
    assert rules(after_a_crash()) == {"I3"}
    assert rules(after_a_crash(lost, V5)) == {"I5"}
    assert rules(after_a_crash(V3)) >= {"I5"}
    assert rules(after_a_crash(lost._replace(updated_us=0))) >= {"D5"}


def test_nothing_is_written_again_that_was_not_lost() -> None:
    mended = version(8, 1, GENERATING, GENERATING, 5, "oom", "gmhealth consume host:8")
    worker = "host:8:abc"
    steps = [Step(record(6, 5, 5, worker=worker, verified=False)), repair(record(7, 5, 8, worker=worker), mended)]
    assert rules(with_more(clean(), *steps, versions=[mended])) == {"I10"}


WORDS = "the harness refuses game-0000, SQLSTATE P0001"
REFUSING_0, REFUSING_NONE = Refusing(frozenset({"game-0000"})), Refusing(frozenset())


def refused(written: Version, *, words: str = WORDS, worker: str = "host:7:abc") -> list[Effect]:
    """A batch with an event of each game, of which PostgreSQL refused the row of the first."""
    sent = Sent("game-0001", 5, GENERATING, "healthy", 7)
    done: list[Done] = [("6-0", "refused", "", "", False), ("7-0", "health_only", GENERATING, GENERATING, True)]
    step = batch(record(7, 7, written.n, worker=worker), [sent], done, written)
    letter = [b"6-0", "row_refused", list(event(6, 0, "probe_failed").parts), words]
    step.dead = [{b"letter": msgpack.encode(letter)}]
    return [event(6, 0, "probe_failed"), event(7, 1, "container_started"), step]


def after_a_refusal(*, refusing: Refusing = REFUSING_0, words: str = WORDS) -> Evidence:
    written = version(8, 1, GENERATING, GENERATING, 5, "healthy")
    rows = {**clean().rows, "game-0001": Row(GENERATING, 5, "healthy")}
    *fed, step = refused(written, words=words)
    return with_more(clean(), refusing, *fed, REFUSING_NONE, step, versions=[written], rows=rows)


def test_events_of_a_refused_row_are_dead_letters_and_nothing_else() -> None:
    assert judged(after_a_refusal()) == []
    assert rules(after_a_refusal(words="another reason")) == {"I7"}
    assert rules(after_a_refusal(refusing=Refusing(frozenset({"game-0001"})))) == {"I7"}
    assert rules(with_step(after_a_refusal(), -1, dead=[])) >= {"I1"}
    assert rules(with_step(after_a_refusal(), -1, sent=[R._replace(at=6)])) >= {"D5"}
    wrote = version(7, 0, RUNNING, RUNNING, 1, "probe_failed")
    assert rules(replace(after_a_refusal(), versions=[*after_a_refusal().versions, wrote])) == {"I7"}


def test_what_was_refused_before_the_last_commit_is_no_excuse() -> None:
    *before, last = after_a_refusal().effects
    at = [index for index, effect in enumerate(before) if isinstance(effect, Step)][-1]
    early: list[Effect] = [effect for effect in before if not isinstance(effect, Refusing)]
    early = [*early[:at], REFUSING_0, REFUSING_NONE, *early[at:]]
    assert rules(replace(after_a_refusal(), effects=[*early, last])) == {"I7"}


def test_a_refused_row_may_have_what_a_batch_without_a_commit_had_left() -> None:
    left = version(6, 0, RUNNING, RUNNING, 1, "probe_failed")
    written = version(8, 1, GENERATING, GENERATING, 5, "healthy", "gmhealth consume host:8")
    rows = {"game-0000": left.row, "game-0001": written.row}
    worker = "host:8:abc"
    steps = [repair(record(6, 5, 7, worker=worker), left), *refused(written, worker=worker)]
    settled = with_more(clean(), REFUSING_0, *steps, versions=[left, written], rows=rows)
    assert judged(settled) == []
    steps[0] = Step(record(6, 5, 7, worker=worker))
    unwritten = with_more(clean(), REFUSING_0, *steps, versions=[written], rows=rows)
    assert rules(unwritten) == {"I10"}


NEXT = "gmhealth consume host:8"
BACK = V1._replace(n=6, at=6.0, by=LOSS, old_status=RUNNING)
AGAIN = version(8, 0, UNREACHABLE, RUNNING, 1, "healthy", NEXT)


def after_a_loss(*again: Version, loss: Version = BACK, shown: Sequence[Version] = (AGAIN,)) -> Evidence:
    """PostgreSQL has a row of game 0 again as it was some commits ago, and starts; another process settles."""
    prepared = Step(record(6, 5, 6, worker="host:8:abc", verified=False, started=7))
    settled = repair(record(7, 5, 9, worker="host:8:abc", started=7), *shown)
    status, turn, health = again[0].row if again else loss.row
    rows = {**clean().rows, "game-0000": Row(status, turn, health)}
    return with_more(clean(), prepared, settled, versions=[loss, *again], rows=rows)


def test_what_postgresql_has_lost_is_written_and_published_again_and_nothing_else_is() -> None:
    assert judged(after_a_loss(AGAIN)) == []
    assert rules(after_a_loss(shown=())) == {"I1", "I10"}
    assert rules(after_a_loss(AGAIN, shown=())) == {"I3"}
    half = AGAIN._replace(status=UNREACHABLE)
    assert rules(after_a_loss(half, shown=[half])) == {"I1", "I10"}
    neighbour = version(9, 1, GENERATING, GENERATING, 5, "oom", NEXT)
    assert rules(after_a_loss(AGAIN, neighbour, shown=[AGAIN, neighbour])) == {"I10"}


def test_what_is_as_it_was_lacks_nothing() -> None:
    same = BACK._replace(status=RUNNING, health="healthy")
    assert judged(after_a_loss(loss=same, shown=())) == []
    assert rules(after_a_loss(AGAIN._replace(old_status=RUNNING), loss=same)) == {"I10"}
    later = BACK._replace(updated_us=V3.updated_us)
    assert "I10" in rules(after_a_loss(AGAIN, loss=later))


def test_a_server_that_had_started_before_the_loss_proves_nothing() -> None:
    early = after_a_loss(AGAIN)
    steps = [effect for effect in early.effects if isinstance(effect, Step) and effect.record is not None]
    for step in steps[-2:]:
        assert step.record is not None
        step.record = changed(step.record, server={"started": "1970-01-01 00:00:05+00"})
    assert rules(replace(early, wire=sent_at([*early.effects]))) == {"I10"}


def test_an_operator_may_have_entries_run_again() -> None:
    back = Step(offset=EntryId(4, 0), audit={b"old": b"5-0", b"new": b"4-0"})
    written = version(8, 1, GENERATING, GENERATING, 5, "oom")
    settled = Step(changed(record(6, 4, 6), entries_read=None))
    last = batch(record(7, 5, 8), [MOVED], [DONE_5], written, UNREACHABLE)
    assert judged(with_more(clean(), back, settled, last, versions=[written])) == []
    assert rules(with_more(clean(), back, last, versions=[written])) == {"I6", "I5"}


def test_a_key_that_was_deleted_is_made_again() -> None:
    restored = Step(record(6, 5, 5), EntryId(5, 0))
    assert judged(with_more(clean(), Deleted(OFFSET), restored)) == []
    assert "I6" in rules(with_more(clean(), Deleted(OFFSET), Step(record(6, 5, 5))))
    made = [Step(record(6, 5, 5, verified=False)), Step(record(7, 5, 5))]
    assert judged(with_more(clean(), Deleted(RECORD), *made)) == []


def test_a_reset_that_nobody_has_followed_is_gone_with_the_offsets_key() -> None:
    back = Step(offset=EntryId(4, 0), audit={b"old": b"5-0", b"new": b"4-0"})
    restored = Step(record(6, 5, 5), EntryId(5, 0))
    assert judged(with_more(clean(), back, Deleted(OFFSET), restored)) == []


def test_what_was_trimmed_is_noted_once_and_counted() -> None:
    lost = {"offset": "5-0", "first_left": "7-0", "lost": 1, "exact": True}
    fed: list[Effect] = [event(6, 0, "container_exited"), event(7, 0, "probe_failed"), Trimmed(1)]
    written = version(8, 0, RUNNING, RUNNING, 1, "probe_failed")
    sent = Sent("game-0000", 1, RUNNING, "probe_failed", 7)
    last = batch(record(6, 7, 8), [sent], [("7-0", "health_only", RUNNING, RUNNING, True)], written)
    rows = {**clean().rows, "game-0000": Row(RUNNING, 1, "probe_failed")}

    assert judged(with_more(clean(), *fed, Noted("trimmed", lost), last, versions=[written], rows=rows)) == []
    assert rules(with_more(clean(), *fed, last, versions=[written], rows=rows)) == {"I9"}
    wrong = Noted("trimmed", {**lost, "lost": 2})
    assert rules(with_more(clean(), *fed, wrong, last, versions=[written], rows=rows)) == {"I9"}
    assert rules(with_more(clean(), Noted("behind", {}))) == {"I9"}


def test_what_redis_has_lost_is_published_again() -> None:
    """Two commits are lost; the entries of both are there, as they were read before the copy was made."""
    effects = list(clean().effects)
    fed, commits = [effects[at] for at in (1, 3, 4, 6, 8)], [effects[at] for at in (2, 5, 7, 9)]
    before = replace(clean(), effects=[effects[0], *fed, *commits[:2], Copied(1), *commits[2:], WentBack(1)])
    settled = repair(record(6, 3, 7), V3, V5)
    again = [version(8, 0, RUNNING, RUNNING, 1, "healthy"), version(9, 1, GENERATING, GENERATING, 5, "oom")]
    done: Done = ("4-0", "conflict", RUNNING, RUNNING, True)
    batches = [
        batch(record(7, 4, 8), [R], [done], again[0], RUNNING),
        batch(record(8, 5, 9), [MOVED], [DONE_5], again[1], UNREACHABLE),
    ]
    noted = Noted("rolled_back", {"offset": "5-0", "first_left": "3-0"})

    assert judged(with_more(before, noted, settled, *batches, versions=again, lobby=6)) == []
    assert rules(with_more(before, settled, *batches, versions=again, lobby=6)) == {"I9"}
    silent = Step(record(6, 3, 7))
    assert rules(with_more(before, noted, silent, *batches, versions=again, lobby=4)) >= {"I3"}
