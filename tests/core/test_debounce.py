"""The debounce state does not grow for ever."""

from __future__ import annotations

from gmhealth.core.snapshot import remember


def test_the_last_summary_of_a_game_counts() -> None:
    emitted = {"game-a": "oom", "game-b": "exited"}
    remember(emitted, {"game-a": "healthy", "game-c": "oom"})
    assert emitted == {"game-a": "healthy", "game-b": "exited", "game-c": "oom"}


def test_of_more_than_it_may_hold_those_that_came_last_are_kept() -> None:
    emitted: dict[str, str] = {}
    for number in range(10):
        remember(emitted, {f"game-{number}": "oom"}, most=10)
    assert len(emitted) == 10
    remember(emitted, {"game-0": "healthy", "game-new": "oom"}, most=10)
    assert list(emitted) == [*(f"game-{number}" for number in range(6, 10)), "game-new"]
    remember(emitted, {f"game-{number}": "oom" for number in range(1000)}, most=10)
    assert len(emitted) == 5
