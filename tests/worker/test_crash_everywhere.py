"""Failures and crashes at every call, on either side of it: nothing lost, nothing twice (I1, I3, I5)."""

from __future__ import annotations

import pytest

from gmhealth.core.snapshot import Snapshot
from tests.games import games
from tests.worker import short_incident as incident
from tests.worker.faulty import Boundaries, Crossing, Fault, When
from tests.worker.player import calls_of_a_clean_run, play
from tests.worker.scene import Scene
from tests.worker.short_incident import LAST, batch_after, entry_id, number
from tests.worker.witness import Witness

ALL = range(1, LAST + 1)


Shown = tuple[str, int, str, str, int | None]


def shown(snapshot: Snapshot) -> Shown:
    """What Lobby sees; the time only where it is an event's."""
    at = snapshot.occurred_at_ms
    row = (snapshot.game_id, snapshot.current_turn, snapshot.runtime_status, snapshot.engine_health_summary)
    return (*row, at if at <= 1000 * LAST else None)


def expected_snapshots(offset: int, *, written: bool) -> list[Shown]:
    """What one at a time publishes, when a fault met the batch after `offset`, whose rows are `written` or not.

    Settling then publishes those rows as they are, and the debounce begins anew.
    """
    literal = incident.consumer()
    incident.consume(literal, range(1, offset + 1))
    expected = [shown(snapshot) for snapshot in incident.snapshots(literal)]
    literal.published.clear()
    batch = batch_after(offset)
    if written:
        incident.dry_run(literal, batch)
        rows = incident.rows(literal)
        games = sorted({incident.INCIDENT[at - 1].game_id for at in batch if incident.INCIDENT[at - 1].valid} & {*rows})
        expected += [
            (game, rows[game].current_turn, rows[game].status, rows[game].engine_health, None) for game in games
        ]
    literal.last_emitted.clear()
    incident.consume(literal, range(offset + 1, LAST + 1))
    return expected + [shown(snapshot) for snapshot in incident.snapshots(literal)]


def leaves_written(names: list[str], fault: Fault) -> bool:
    """Whether a fault at the last of these calls leaves a batch whose rows are written and not published."""
    name, before = names[-1], names[:-1]
    last = max((at for at, each in enumerate(before) if each in ("rows.write", "ledger.commit")), default=None)
    pending = last is not None and before[last] == "rows.write"
    return (name == "rows.write" and fault.when is When.AFTER) or (
        pending and not (name == "ledger.commit" and fault.when is When.AFTER)
    )


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
    assert len([commit for commit in scene.applied if commit.offset is not None]) == 5


@pytest.mark.parametrize("crash", [False, True], ids=["fails", "crashes"])
@pytest.mark.parametrize("when", When)
def test_whatever_call_fails_the_outcome_is_that_of_one_event_at_a_time(scene: Scene, when: When, crash: bool) -> None:
    calls = calls_of_a_clean_run(scene)
    for at, call in enumerate(calls, start=1):
        fault = Fault(at, when, crash)
        incident.record(scene)
        witness = Witness(scene)

        def visit(crossing: Crossing, at: int = at, witness: Witness = witness) -> None:
            witness(crossing)
            if at <= crossing.number < at + 16:  # until the batch in flight is done; all else is as without a failure
                durable(scene, crossing)

        boundaries = Boundaries(fault, visit)
        play(scene, boundaries)
        assert boundaries.names[at - 1] == call.name
        offset = call.before if when is When.BEFORE else call.after
        written = leaves_written([each.name for each in calls[:at]], fault)
        found = [shown(snapshot) for snapshot in scene.snapshots()]
        assert found == expected_snapshots(offset, written=written), (fault, call)
        assert scene.snapshots() == [one for commit in scene.applied for one in commit.snapshots], (fault, call)
        assert games(scene.pg) == incident.rows_after(*ALL), (fault, call)
        assert scene.dead_letters() == incident.invalid(ALL), (fault, call)
        assert scene.offset() == entry_id(LAST), (fault, call)
        assert witness.unreported() == set(), (fault, call)
