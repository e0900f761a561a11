"""The scene that the worker's tests play on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.worker.scene import Scene


@pytest.fixture
def scene(redis_url: str, postgres_dsn: str) -> Iterator[Scene]:
    """Empty servers."""
    scene = Scene(redis_url, postgres_dsn)
    yield scene
    scene.close()
