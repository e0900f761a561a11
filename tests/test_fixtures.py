"""The fixtures keep tests apart."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import psycopg
    import redis


@pytest.mark.parametrize("_again", range(3))
def test_every_test_has_empty_databases(redis_client: redis.Redis, pg: psycopg.Connection, _again: int) -> None:
    assert redis_client.dbsize() == 0
    assert pg.execute("SELECT count(*) FROM runtime_records").fetchone() == (0,)

    redis_client.set("key", "value")
    pg.execute(
        "INSERT INTO runtime_records (game_id, status, engine_endpoint, current_image_ref,"
        " current_engine_version, turn_schedule, created_at, updated_at)"
        " VALUES ('game-andromeda', 'running', '', '', '', '', now(), now())"
    )


def test_an_address_leads_to_the_database_of_its_test(
    redis_url: str, redis_client: redis.Redis, postgres_dsn: str, pg: psycopg.Connection
) -> None:
    assert redis_url.endswith(f"db={redis_client.client_info()['db']}")
    assert f"dbname={pg.info.dbname}" in postgres_dsn


def test_no_setting_comes_from_outside() -> None:
    assert not [name for name in os.environ if name.startswith("GMHEALTH_")]
