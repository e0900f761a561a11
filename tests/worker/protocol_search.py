"""Breadth-first search of everything that can happen, for the shortest way to break an invariant."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from tests.worker.protocol_fold import fold
from tests.worker.protocol_steps import deliver, step
from tests.worker.protocol_world import Bounds, World, begin, crash, end_session, generate, reset


class Found(NamedTuple):
    """What a search saw; `broken` is empty when every invariant held in each of its `states`."""

    states: int
    broken: str = ""
    trace: tuple[str, ...] = ()


def search(bounds: Bounds) -> Found:
    """Visit every state within `bounds`; stop at the first that breaks an invariant."""
    start = begin(bounds)
    came_from: dict[World, tuple[World, str] | None] = {start: None}
    queue = deque([start])
    while queue:
        world = queue.popleft()
        progress = list(moves(world, bounds))
        broken = world.broken or ("" if progress else judge_rest(world, bounds))
        if broken:
            return Found(len(came_from), broken, _trace(came_from, world))
        for label, after in (*progress, *mishaps(world, bounds)):
            if after not in came_from:
                came_from[after] = (world, label)
                queue.append(after)
    return Found(len(came_from))


def judge_rest(world: World, bounds: Bounds) -> str:
    """Judge a world in which nothing goes on by itself."""
    if world.lobby != world.version:
        return "I3"
    if world.saved.offset != len(bounds.entries):
        return "stuck"
    # The known hole: without the lock a stale batch can be written after newer ones. Its commit is refused, its rows
    # stay, and the last snapshot can be an older one.
    if world.skipped or not bounds.lock:
        return ""
    if world.lobby_summary != world.summary:
        return "D4"
    drained = fold(bounds.entries, "running", "").status
    return "I10" if not bounds.others and world.status != drained else ""


def moves(world: World, bounds: Bounds) -> Iterator[tuple[str, World]]:
    """Everything that can happen next and is no mishap; a worker at rest does nothing."""
    if world.late is not None:
        yield "the late commit arrives", deliver(world._replace(late=None), world.late, bounds)[0]
    if world.arrived < len(bounds.entries):
        yield "an entry arrives", world._replace(arrived=world.arrived + 1)
    for at in range(len(world.workers)):
        for label, after in step(world, at, bounds, lose=False):
            if after != world:
                yield f"{at}: {label}", after


def mishaps(world: World, bounds: Bounds) -> Iterator[tuple[str, World]]:
    """Everything that can come between."""
    for at in range(len(world.workers)):
        if world.crashes:
            yield f"{at}: crash", crash(world, at)
        if world.lost:
            yield f"{at}: the session ends", end_session(world, at)
            for label, after in step(world._replace(lost=world.lost - 1), at, bounds, lose=True):
                yield f"{at}: {label} (fails)", after
    if world.others:
        yield "Game Master", generate(world)
    if world.resets:
        for target in range(len(bounds.entries) + 1):
            if target != world.saved.offset:
                yield f"reset to {target}", reset(world, target)


def _trace(came_from: dict[World, tuple[World, str] | None], world: World) -> tuple[str, ...]:
    labels: list[str] = []
    while (origin := came_from[world]) is not None:
        world, label = origin
        labels.append(label)
    return tuple(reversed(labels))
