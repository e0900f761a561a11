"""Servers that fail over, and gmhealth over them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.e2e.conftest import gmhealth, over  # noqa: F401  # fixtures
from tests.failover.postgres_pair import Pair, postgres_pair


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A directory for sockets, whose paths are bounded."""
    with TemporaryDirectory(prefix="gmhealth-", dir="/tmp", ignore_cleanup_errors=True) as directory:
        yield Path(directory)


@pytest.fixture
def pair(short_path: Path) -> Iterator[Pair]:
    with postgres_pair(short_path) as pair:
        yield pair
