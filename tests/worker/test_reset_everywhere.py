"""An operator moves the offset at every call, alone or on top of a failure or a crash: the operator wins (I3, I6)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.games import games
from tests.worker import short_incident as incident
from tests.worker.faulty import Boundaries, Crossing, Fault, When
from tests.worker.player import calls_of_a_clean_run, play
from tests.worker.scene import Scene
from tests.worker.short_incident import LAST, batch_after, entry_id, number
from tests.worker.witness import Witness

TARGETS: dict[str, Callable[[int], int]] = {
    "to the start": lambda _: 0,
    "to the end": lambda _: LAST,
    "to the last entry of the batch in flight": lambda offset: max(batch_after(offset), default=offset),
    "into the batch in flight": lambda offset: min(offset + 2, LAST),
}
ACCIDENTS = {
    "nothing else": None,
    "a failure before": Fault(0, When.BEFORE, crash=False),
    "a failure after": Fault(0, When.AFTER, crash=False),
    "a crash before": Fault(0, When.BEFORE, crash=True),
    "a crash after": Fault(0, When.AFTER, crash=True),
}


class Operator:
    """Moves the offset once: right before the given call of the worker."""

    def __init__(self, scene: Scene, at: int, target: Callable[[int], int]) -> None:
        self._scene, self._at, self._target = scene, at, target
        self.moved: tuple[int, int] | None = None

    def __call__(self, crossing: Crossing) -> None:
        if crossing[::2] == (self._at, When.BEFORE):
            old = number(self._scene.offset())
            new = self._target(old)
            if new != old:
                self._scene.reset(entry_id(new))
                self.moved = (old, new)


@pytest.mark.parametrize("accident", ACCIDENTS)
@pytest.mark.parametrize("target", TARGETS)
def test_whenever_the_offset_is_moved_the_worker_follows_and_nothing_is_lost(
    scene: Scene, target: str, accident: str
) -> None:
    template = ACCIDENTS[accident]
    for at, call in enumerate(calls_of_a_clean_run(scene), start=1):
        fault = None if template is None else template._replace(at=at)
        incident.record(scene)
        operator = Operator(scene, at if fault is None else at + 1, TARGETS[target])
        witness = Witness(scene)

        def visit(crossing: Crossing, operator: Operator = operator, witness: Witness = witness) -> None:
            operator(crossing)
            witness(crossing)

        play(scene, Boundaries(fault, visit))
        if operator.moved is None:
            continue
        old, new = operator.moved
        here = (fault, call, operator.moved)
        done = [*range(1, old + 1), *range(new + 1, LAST + 1)]
        written = [*range(1, max(batch_after(old), default=old) + 1), *range(new + 1, LAST + 1)]
        assert scene.offset() == entry_id(LAST), here
        assert scene.dead_letters() == incident.invalid(done), here
        assert games(scene.pg) in (incident.rows_after(*done), incident.rows_after(*written)), here
        assert witness.unreported() == set(), here
