"""The judge acquits a clean course of events, and notices each thing that can be wrong with one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from gmhealth.core.entry import EntryId
from scripts.torturing.effects import Fed, Sent, Step
from scripts.torturing.judge import Judge
from scripts.torturing.proxy import Published
from scripts.torturing.record import Evidence
from scripts.torturing.reports import Violation
from scripts.torturing.versions import Row, Version

OURS, MASTER = "gmhealth consume host:7", "game-master"
START = {"game-0000": Row("running", 1, ""), "game-0001": Row("running", 5, "")}


def event(at: int, game: int, kind: str) -> Fed:
    parts = [b"game_id", b"game-%04d" % game, b"event_type", kind.encode(), b"occurred_at_ms", b"%d" % at]
    return Fed(EntryId(at, 0), tuple(parts))


def version(n: int, at: float, game: int, old: str, new: str, turn: int, health: str, by: str = OURS) -> Version:
    return Version(n, at, f"game-{game:04}", by, old, turn, new, turn, health)


def commit(number: int, offset: int | None, *sent: Sent, worker: str = "host:7:abc") -> Step:
    return Step(f"{worker}#{number}", None if offset is None else EntryId(offset, 0), list(sent))


X = Sent("game-0000", 1, "engine_unreachable", "exited", 1)
S = Sent("game-0000", 1, "engine_unreachable", "healthy", 3)
R = Sent("game-0000", 1, "running", "healthy", 4)
MOVED = Sent("game-0001", 5, "generation_in_progress", "oom", 5)
LETTER = {b"letter": b"\x93\xc4\x032-0\xafgame_id_missing\x92\xc4\x05noise\xc4\x01!"}
UNREACHABLE = "engine_unreachable"


def clean() -> Evidence:
    """Four batches: a transition, a dead letter and a start, a recovery, and one that Game Master forestalled."""
    second = commit(2, 3, S)
    second.dead = [LETTER]
    effects: list[Fed | Step] = [
        event(1, 0, "container_exited"),
        commit(1, 1, X),
        Fed(EntryId(2, 0), (b"noise", b"!")),
        event(3, 0, "container_started"),
        second,
        event(4, 0, "probe_recovered"),
        commit(3, 4, R),
        event(5, 1, "container_oom"),
        commit(4, 5, MOVED),
    ]
    versions = [
        version(1, 1.0, 0, "running", UNREACHABLE, 1, "exited"),
        version(2, 2.0, 0, UNREACHABLE, UNREACHABLE, 1, "healthy"),
        version(3, 3.0, 0, UNREACHABLE, "running", 1, "healthy"),
        version(4, 3.5, 1, "running", "generation_in_progress", 5, "", MASTER),
        version(5, 4.0, 1, "generation_in_progress", "generation_in_progress", 5, "oom"),
    ]
    wire = [Published(number + 0.1, (b"", b"host:7:abc#%d" % number)) for number in range(1, 9)]
    rows = {"game-0000": Row("running", 1, "healthy"), "game-0001": Row("generation_in_progress", 5, "oom")}
    return Evidence(effects, versions, wire, (), rows, 4)


def judged(evidence: Evidence) -> list[Violation]:
    return Judge(START).judge(evidence)


def with_step(evidence: Evidence, at: int, **changes: object) -> Evidence:
    effects = list(evidence.effects)
    step = effects[at]
    assert isinstance(step, Step)
    effects[at] = replace(step, **changes)  # type: ignore[arg-type]
    sent = sum(len(one.sent) for one in effects if isinstance(one, Step))
    return replace(evidence, effects=effects, lobby=sent)


def with_version(evidence: Evidence, n: int, **changes: object) -> Evidence:
    found = [one._replace(**changes) if one.n == n else one for one in evidence.versions]  # type: ignore[arg-type]
    return replace(evidence, versions=found)


def without_version(evidence: Evidence, n: int) -> Evidence:
    return replace(evidence, versions=[one for one in evidence.versions if one.n != n])


def test_a_writer_is_known_by_its_name_whatever_it_waits_for() -> None:
    found = clean().versions[0]
    assert found.pid == 7
    assert found._replace(by=f"{OURS} !OOM 1795465060 3").pid == 7
    assert found._replace(by="gmhealth second host:8").pid == 8
    assert found._replace(by=MASTER).pid is None


def test_a_clean_course_is_acquitted() -> None:
    assert judged(clean()) == []


@pytest.mark.parametrize(
    ("tamper", "rule"),
    [
        pytest.param(lambda it: with_step(it, 1, sent=[]), "I3", id="a transition is not told"),
        pytest.param(lambda it: with_step(it, 4, sent=[]), "D4", id="another summary is not told"),
        pytest.param(lambda it: with_step(it, 4, sent=[X, S]), "I5", id="a snapshot is sent once more"),
        pytest.param(lambda it: with_step(it, 4, sent=[S._replace(turn=2)]), "D5", id="a turn that never was"),
        pytest.param(lambda it: with_step(it, 4, dead=[]), "I7", id="a dead letter is lost"),
        pytest.param(lambda it: with_step(it, 4, dead=[LETTER, LETTER]), "I7", id="a dead letter comes twice"),
        pytest.param(lambda it: with_step(it, 8, offset=EntryId(4, 0)), "I6", id="a commit goes nowhere"),
        pytest.param(lambda it: with_version(it, 5, at=4.2), "I1", id="the offset passes what is written later"),
        pytest.param(lambda it: with_step(it, 8, offset=None), "I1", id="drained, and the offset is behind"),
        pytest.param(lambda it: with_step(it, 8, offset=None), "I5", id="a repair without a cause"),
        pytest.param(lambda it: with_step(it, 1, mark=None), "I5", id="somebody else sends"),
        pytest.param(lambda it: replace(it, lobby=5), "I5", id="a snapshot that nobody committed"),
        pytest.param(lambda it: without_version(it, 5), "I1", id="the offset passes what was not written"),
        pytest.param(lambda it: with_version(it, 2, health="oom"), "I1", id="another summary is written"),
        pytest.param(lambda it: with_version(it, 5, status="running"), "I4", id="another writer's status is overruled"),
        pytest.param(lambda it: with_version(it, 5, turn=6), "I4", id="another writer's turn is overruled"),
        pytest.param(
            lambda it: replace(it, rows={**it.rows, "game-0000": Row("running", 1, "oom")}), "I10", id="a row differs"
        ),
    ],
)
def test_what_is_wrong_is_noticed(tamper: Callable[[Evidence], Evidence], rule: str) -> None:
    assert rule in {violation.rule for violation in judged(tamper(clean()))}


def test_a_crash_allows_what_was_said_to_be_said_again_and_nothing_else_does() -> None:
    after = clean()
    again = Sent("game-0000", 1, "running", "healthy", 6)
    effects = [*after.effects, event(6, 0, "container_started"), commit(5, 6, again)]
    versions = [*after.versions, version(6, 5.0, 0, "running", "running", 1, "healthy")]
    after = replace(after, effects=effects, versions=versions, lobby=5)
    assert [violation.rule for violation in judged(after)] == ["I5"]
    assert judged(replace(after, disturbed=[4.5])) == []


def test_an_operator_may_have_entries_run_again_and_the_rows_told_once_more() -> None:
    again = Sent("game-0000", 1, "running", "healthy", 4)
    repair = Sent("game-0000", 1, "running", "healthy", 3)
    back = Step(offset=EntryId(4, 0), audit={b"old": b"5-0", b"new": b"4-0"})
    told = Sent("game-0001", 5, "generation_in_progress", "oom", 5)
    effects = [*clean().effects, back, commit(5, None, repair), commit(6, 5, told)]
    versions = [*clean().versions, version(6, 5.5, 1, "generation_in_progress", "generation_in_progress", 5, "oom")]
    found = replace(clean(), effects=effects, versions=versions, lobby=6)
    assert judged(found) == []
    assert [v.rule for v in judged(with_step(found, 10, sent=[again._replace(status="stopped")]))] == ["D5"]
