"""What a consumer waits for shows in `status`: it says so on the server that it can still reach (design 3.3)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from gmhealth.embedded import EmbeddedServers, embedded_servers
from tests import incident
from tests.e2e.conftest import PATIENCE_S, Gmhealth
from tests.eventually import eventually
from tests.games import add_game, games
from tests.servers import connect_redis
from tests.streams import append

EVENT = {"game_id": "game-a", "event_type": "container_oom", "occurred_at_ms": "1"}


def waits(gmhealth: Gmhealth, detail: str = "") -> Any:
    """What it waits for, if it says so with this detail: in between it may wait for its own lost session."""
    found = json.loads(gmhealth.run("status", "-o", "json").stdout)["waiting"]
    return found if found and detail in found["detail"] else None


def is_recent(time: str) -> bool:
    return abs((datetime.now(UTC) - datetime.fromisoformat(time)).total_seconds()) < PATIENCE_S


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServers]:
    """Servers whose configuration may be changed, and that may be ended."""
    with embedded_servers(tmp_path_factory.mktemp("own"), postgres_options={"fsync": "off"}) as servers:
        yield servers


@pytest.fixture
def over_own(over: Callable[[Mapping[str, str]], Gmhealth], own: EmbeddedServers) -> Gmhealth:
    return over({"GMHEALTH_REDIS_URL": own.redis_url, "GMHEALTH_POSTGRES_DSN": own.postgres_dsn})


REFUSALS: dict[str, tuple[Callable[[redis.Redis], object], Callable[[redis.Redis], object]]] = {
    "OutOfMemory": (lambda admin: admin.config_set("maxmemory", 1), lambda admin: admin.config_set("maxmemory", 0)),
    "NOREPLICAS": (
        lambda admin: admin.config_set("min-replicas-to-write", 1),
        lambda admin: admin.config_set("min-replicas-to-write", 0),
    ),
}


@pytest.mark.parametrize("cause", REFUSALS)
def test_a_redis_that_takes_no_writes(over_own: Gmhealth, own: EmbeddedServers, cause: str) -> None:
    refuse, recover = REFUSALS[cause]
    with connect_redis(own.redis_url) as admin, psycopg.connect(own.postgres_dsn, autocommit=True) as pg:
        add_game(pg, "game-a")
        append(admin, incident.STREAM, EVENT)
        refuse(admin)
        consume = over_own.start("consume")
        consume.says("trying again")
        found = eventually(lambda: waits(over_own))
        assert (found["server"], found["cause"]) == ("Redis", cause)
        assert is_recent(found["since"])
        assert found["worker"].endswith(f":{consume.process.pid}")
        eventually(lambda: waits(over_own)["tries"] > found["tries"])
        text = over_own.run("status").stdout
        assert re.search(rf"waiting +for Redis since .* tries failed, the last by\s+{cause}", text)
        assert re.search(rf"consumer +gmhealth consume \S+:{consume.process.pid}, PostgreSQL session", text)
        assert waits(over_own)["since"] == found["since"]
        recover(admin)
        consume.says("going on again")
        eventually(lambda: waits(over_own) is None)


def test_a_redis_that_is_away(over_own: Gmhealth, own: EmbeddedServers) -> None:
    """`status` cannot tell much then, but that the consumer waits for the same."""
    consume = over_own.start("consume")
    consume.says("consuming  offset=")
    with connect_redis(own.redis_url) as admin:
        admin.shutdown(nosave=True)
    consume.says("trying again")
    eventually(lambda: "the consumer waits for Redis" in over_own.run("status").stderr)
    done = over_own.run("status")
    assert done.returncode == 5
    assert f":{consume.process.pid})" in done.stderr


def test_a_postgresql_that_does_not_do_what_it_is_asked(
    gmhealth: Gmhealth, redis_client: redis.Redis, pg: psycopg.Connection, postgres_dsn: str
) -> None:
    for each in ("game-a", "game-b"):
        add_game(pg, each)
    consume = gmhealth.start("consume")
    consume.says("consuming  offset=")
    with psycopg.connect(postgres_dsn, application_name="psql") as other:
        other.execute("SELECT 1 FROM runtime_records WHERE game_id = 'game-b' FOR UPDATE")
        for each in ("game-a", "game-b"):
            append(redis_client, incident.STREAM, {**EVENT, "game_id": each})
        holder = f"game-b is locked by PostgreSQL session {other.info.backend_pid} (psql, user "
        consume.says(f'trying again  error="PostgreSQL could not write rows: {holder}')
        found = eventually(lambda: waits(gmhealth, holder))
        assert (found["server"], found["cause"]) == ("PostgreSQL", "LockNotAvailable")
        assert is_recent(found["since"])
        assert found["worker"].endswith(f":{consume.process.pid}")
        eventually(lambda: (waits(gmhealth, holder) or found)["tries"] > found["tries"])
        shown = f"error PostgreSQL could not write rows: {holder}"
        eventually(lambda: shown in " ".join(gmhealth.run("status").stdout.split()))
    consume.says("going on again")
    eventually(lambda: waits(gmhealth) is None)
    # It may have stood by beside its own lost session first.
    eventually(lambda: {each.engine_health for each in games(pg).values()} == {"oom"})
    eventually(lambda: redis_client.xlen("gm:lobby_events") == 2)


def test_a_postgresql_that_is_away(
    over: Callable[[Mapping[str, str]], Gmhealth], redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    """It may be so from where the consumer is, and not from where one looks."""
    away = over({"GMHEALTH_REDIS_URL": redis_url, "GMHEALTH_POSTGRES_DSN": f"host={tmp_path} dbname=x"})
    here = over({"GMHEALTH_REDIS_URL": redis_url, "GMHEALTH_POSTGRES_DSN": postgres_dsn})
    away.start("consume").says("trying again")
    found = eventually(lambda: waits(here))
    assert (found["server"], found["cause"]) == ("PostgreSQL", "Connection")
    done = away.run("status")
    assert done.returncode == 5
    assert "the consumer waits for PostgreSQL" in done.stderr


def test_what_is_said_is_gone_soon_after_its_worker(gmhealth: Gmhealth, redis_client: redis.Redis) -> None:
    key, settings = "gamemaster:waiting:health_events", {"GMHEALTH_POSTGRES_DSN": "host=/nonexistent"}
    Gmhealth({**gmhealth.environ, **settings}, gmhealth.directory, gmhealth.stack).start("consume")
    eventually(lambda: redis_client.exists(key))
    assert 0 < redis_client.ttl(key) <= 30
