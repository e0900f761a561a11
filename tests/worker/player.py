"""Plays the short incident to its end, over failures and crashes."""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

from gmhealth.errors import Unavailable
from tests.worker import short_incident as incident
from tests.worker.faulty import Boundaries, Crash
from tests.worker.scene import Scene


class Call(NamedTuple):
    """A port call of a clean run, with the number of the entry that the offset named before and after it."""

    name: str
    before: int
    after: int


def play(scene: Scene, boundaries: Boundaries) -> None:
    """Consume to the end; after a crash another worker goes on."""
    actor = scene.actor(boundaries)
    while not (actor.at_rest() and scene.offset() == incident.entry_id(incident.LAST)):
        try:
            with suppress(Unavailable):
                actor.worker.step()
        except Crash:
            actor.die()
            actor = scene.actor(boundaries)
    actor.die()


def calls_of_a_clean_run(scene: Scene) -> list[Call]:
    """What a worker calls when nothing fails."""
    incident.record(scene)
    offsets: list[int] = []
    boundaries = Boundaries(visit=lambda _: offsets.append(incident.number(scene.offset())))
    play(scene, boundaries)
    return [Call(*call) for call in zip(boundaries.names, offsets[::2], offsets[1::2], strict=True)]
