"""What Game Lobby gets is the closed payload of design 2.5, in its order."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Event
from typing import Any

import jsonschema
import psycopg
import pytest
import redis
from pydantic import SecretStr

from gmhealth import bootstrap
from gmhealth.core.snapshot import Snapshot
from gmhealth.settings import Settings
from gmhealth.worker.events import Report
from gmhealth.worker.job import Job
from tests import incident

SCHEMA: dict[str, Any] = json.loads(Path(__file__).with_name("lobby_event.schema.json").read_text(encoding="utf-8"))
ORDER = list(SCHEMA["properties"])
VALID = Snapshot("game-a", 7, "engine_unreachable", "oom", 1_790_000_000_000).fields()


def breaks(fields: dict[str, str]) -> bool:
    """Whether Lobby would choke on it."""
    return not jsonschema.Draft202012Validator(SCHEMA).is_valid(fields)


def ignore(_: Report) -> None:
    pass


def test_every_entry_of_a_real_run_is_in_the_contract(
    redis_url: str, postgres_dsn: str, redis_client: redis.Redis, pg: psycopg.Connection
) -> None:
    incident.record(redis_client, pg)
    settings = Settings(redis_url=SecretStr(redis_url), postgres_dsn=SecretStr(postgres_dsn))
    with bootstrap.servers(settings, {}) as where, bootstrap.connected(settings, where, "test") as parts:
        until = parts.stream.state().last_generated
        bootstrap.worker(parts, Job(until=until), ignore).run(Event())

    sent = incident.snapshots(redis_client)
    assert len(sent) == len(incident.expected()["snapshots"])
    for fields in sent:
        assert list(fields) == ORDER
        assert not breaks(fields)


def test_a_snapshot_has_the_contracts_fields_in_the_contracts_order() -> None:
    assert list(VALID) == ORDER
    assert not breaks(VALID)


def test_one_more_field_breaks_lobby() -> None:
    assert breaks({**VALID, "container_id": "e993cc011cdd"})


@pytest.mark.parametrize("name", ORDER)
def test_one_field_less_breaks_lobby(name: str) -> None:
    assert breaks({key: value for key, value in VALID.items() if key != name})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("event_type", "runtime_snapshot"),
        ("game_id", " "),
        ("current_turn", "7.0"),
        ("current_turn", "-1"),
        ("runtime_status", "unreachable"),
        ("engine_health_summary", ""),
        ("player_turn_stats", "{}"),
        ("occurred_at_ms", "1.79e+12"),
    ],
)
def test_a_value_of_another_form_breaks_lobby(name: str, value: str) -> None:
    assert breaks({**VALID, name: value})
