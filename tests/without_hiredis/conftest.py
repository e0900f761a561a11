"""Fixtures: redis-py without hiredis, as where it has no wheel; it then reads replies with a parser in Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from redis._parsers import _RESP2Parser
from redis.connection import AbstractConnection

from tests.contract.conftest import admin, client, ledger, own_servers, stream  # noqa: F401  # fixtures
from tests.daemon import ROOT
from tests.e2e.conftest import Gmhealth, over  # noqa: F401  # a fixture


@pytest.fixture(autouse=True)
def _no_hiredis(monkeypatch: pytest.MonkeyPatch) -> None:
    """What redis-py has decided at its import, for every connection that is made from now on."""
    set_parser: Callable[..., None] = AbstractConnection.set_parser
    monkeypatch.setattr(AbstractConnection, "set_parser", lambda self, _given: set_parser(self, _RESP2Parser))
    monkeypatch.setattr("redis.connection.HIREDIS_AVAILABLE", False)


@pytest.fixture
def without_hiredis(tmp_path: Path) -> Mapping[str, str]:
    """The environment of a process that cannot import it."""
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "hiredis.py").write_text("raise ImportError('there is no hiredis here')\n")
    return {"PYTHONPATH": f"{modules}:{ROOT}"}


@pytest.fixture
def gmhealth(
    over: Callable[[Mapping[str, str]], Gmhealth],  # noqa: F811
    without_hiredis: Mapping[str, str],
    redis_url: str,
    postgres_dsn: str,
) -> Gmhealth:
    """Over the databases of the test."""
    return over({"GMHEALTH_REDIS_URL": redis_url, "GMHEALTH_POSTGRES_DSN": postgres_dsn, **without_hiredis})
