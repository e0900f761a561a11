"""Servers that fail over, and gmhealth over them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from gmhealth.embedded import postgres
from tests.e2e.conftest import gmhealth, over  # noqa: F401  # fixtures
from tests.failover.postgres_pair import Pair, postgres_pair


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A directory for sockets, whose paths are bounded."""
    with TemporaryDirectory(prefix="gmhealth-", dir="/tmp", ignore_cleanup_errors=True) as directory:
        yield Path(directory)


DEBIAN = Path("/usr/lib/postgresql")


@pytest.fixture(params=["of the wheel", "15 of Debian"])
def pair(short_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    if request.param == "15 of Debian":
        programs = DEBIAN / "15" / "bin"
        if not (programs / "postgres").exists():
            pytest.skip(f"there is no {programs}/postgres")
        monkeypatch.setattr(postgres, "_program", lambda name: str(programs / name))
    with postgres_pair(short_path) as pair:
        yield pair
