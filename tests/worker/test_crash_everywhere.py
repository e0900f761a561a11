"""Failures and crashes at every call, on either side of it: nothing lost, nothing twice (I1, I3, I5)."""

from __future__ import annotations

import pytest

from gmhealth.core.snapshot import Snapshot
from tests.games import games
from tests.worker import short_incident as incident
from tests.worker.faulty import Boundaries, Crossing, Fault, When
from tests.worker.player import calls_of_a_clean_run, leaves_written, play
from tests.worker.scene import Scene
from tests.worker.short_incident import LAST, batch_after, entry_id, number
from tests.worker.witness import Witness

ALL = range(1, LAST + 1)


def expected_snapshots(name: str, offset: int, fault: Fault) -> list[Snapshot]:
    """What one at a time tells, when the batch after `offset` was in hand as the call `name` failed."""
    literal = incident.consumer()
    incident.consume(literal, range(1, offset + 1))
    batch = batch_after(offset)
    if leaves_written(name, fault):
        incident.rehearse(literal, batch)  # the next attempt starts from there
    if fault.crash or name.startswith("rows."):
        literal.last_emitted.clear()  # nothing is remembered, nor is it by a worker that had to take the lock again
    elif (name, fault.when) == ("ledger.commit", When.BEFORE):
        for at in batch:
            literal.last_emitted.pop(incident.INCIDENT[at - 1].game_id, None)
    incident.consume(literal, range(offset + 1, LAST + 1))
    return incident.snapshots(literal)


def durable(scene: Scene, crossing: Crossing) -> None:
    """I1: what the offset has passed is done, all of it, and no dead letter comes before its offset."""
    offset = number(scene.offset())
    done = range(1, offset + 1)
    written = range(1, max(batch_after(offset), default=offset) + 1)
    assert games(scene.pg) in (incident.rows_after(*done), incident.rows_after(*written)), crossing
    assert scene.dead_letters() == incident.invalid(done), crossing


def test_without_a_failure_it_does_what_one_event_at_a_time_does(scene: Scene) -> None:
    incident.record(scene)
    boundaries = Boundaries(visit=lambda crossing: durable(scene, crossing))
    play(scene, boundaries)
    literal = incident.consumer()
    incident.consume(literal, ALL)
    assert games(scene.pg) == incident.rows(literal)
    assert scene.snapshots() == incident.snapshots(literal)
    assert scene.dead_letters() == incident.invalid(ALL)
    assert scene.offset() == entry_id(LAST)
    assert boundaries.names.count("ledger.commit") == 5


@pytest.mark.parametrize("crash", [False, True], ids=["fails", "crashes"])
@pytest.mark.parametrize("when", When)
def test_whatever_call_fails_the_outcome_is_that_of_one_event_at_a_time(scene: Scene, when: When, crash: bool) -> None:
    for at, call in enumerate(calls_of_a_clean_run(scene), start=1):
        fault = Fault(at, when, crash)
        incident.record(scene)
        witness = Witness(scene)

        def visit(crossing: Crossing, at: int = at, witness: Witness = witness) -> None:
            witness(crossing)
            if at <= crossing.number < at + 8:  # until the batch in hand is done; all else is as without a failure
                durable(scene, crossing)

        boundaries = Boundaries(fault, visit)
        play(scene, boundaries)
        assert boundaries.names[at - 1] == call.name
        offset = call.before if when is When.BEFORE else call.after
        assert scene.snapshots() == expected_snapshots(call.name, offset, fault), (fault, call)
        assert scene.snapshots() == [one for commit in scene.applied for one in commit.snapshots], (fault, call)
        assert games(scene.pg) == incident.rows_after(*ALL), (fault, call)
        assert scene.dead_letters() == incident.invalid(ALL), (fault, call)
        assert scene.offset() == entry_id(LAST), (fault, call)
        assert witness.unreported() == set(), (fault, call)
