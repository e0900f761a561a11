"""The scene that the worker's tests play on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gmhealth.adapters.postgres import connection as postgres_connection
from tests.worker.scene import Scene


@pytest.fixture
def scene(redis_url: str, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """Empty servers."""
    monkeypatch.setattr(postgres_connection, "ANSWER_S", 60.0)  # how long a test takes is for the machine to say
    scene = Scene(redis_url, postgres_dsn)
    yield scene
    scene.close()
