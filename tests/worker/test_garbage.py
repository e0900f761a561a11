"""What failures leave in memory is gone when the worker goes on, though garbage is collected seldom."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from threading import Event
from weakref import ReferenceType, ref

import pytest
from pydantic import SecretStr

from gmhealth import bootstrap
from gmhealth.adapters.postgres.rows import PostgresRows
from gmhealth.core.entry import EntryId
from gmhealth.errors import Unavailable
from gmhealth.settings import Settings
from gmhealth.worker.events import Recovered, Report, Waiting
from gmhealth.worker.job import Job
from gmhealth.worker.ports import Lock


@pytest.fixture
def nobody_collects() -> Iterator[None]:
    thresholds = gc.get_threshold()
    gc.disable()
    yield
    gc.enable()
    gc.set_threshold(*thresholds)


@pytest.mark.usefixtures("nobody_collects")
def test_errors_in_cycles_do_not_pile_up(redis_url: str, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[ReferenceType[Exception]] = []
    alive: dict[type[Report], int] = {}
    real = PostgresRows.lock

    def lock(rows: PostgresRows) -> Lock:
        if len(made) == 3:
            return real(rows)
        error = Unavailable("away")
        error.args = ("away", error)
        made.append(ref(error))
        raise error

    def observe(report: Report) -> None:
        alive[type(report)] = sum(each() is not None for each in made)

    monkeypatch.setattr(PostgresRows, "lock", lock)
    settings = Settings(redis_url=SecretStr(redis_url), postgres_dsn=SecretStr(postgres_dsn))
    with bootstrap.servers(settings, {}) as where, bootstrap.connected(settings, where, "test") as parts:
        bootstrap.worker(parts, Job(until=EntryId(9, 0)), observe).run(Event())
    assert len(made) == 3
    assert alive[Waiting] <= 2, "the one that is told, and the one before it"
    assert alive[Recovered] == 1
    assert not any(each() for each in made)
