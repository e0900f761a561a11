"""The active one is killed, frozen or cut off: the standby takes over, nothing is lost, and everybody knows who is who.

How long it takes is measured elsewhere: here it only has to happen.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from urllib.parse import parse_qsl, unquote, urlsplit

import psycopg
import pytest
import redis
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from gmhealth.core.pause import Pause
from tests import incident
from tests.e2e.conftest import Daemon, Gmhealth
from tests.eventually import eventually
from tests.failover.gate import Address, Gate, gate
from tests.games import add_game, games
from tests.streams import append, entries, text

Over = Callable[[Mapping[str, str]], Gmhealth]
OFFSET = "gamemaster:stream_offsets:health_events"
LINES = (incident.DATA / "incident.events.ndjson").read_text(encoding="utf-8").splitlines()
PAUSE = "gamemaster:pause:health_events"
SESSIONS = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'gmhealth %'"
ACTIVE, STANDBY = "consuming", "standing by: another gmhealth consumes"


class Pair:
    """An active consumer and its standby, and the incident that happens to them."""

    def __init__(self, active: Gmhealth, other: Gmhealth, client: redis.Redis, pg: psycopg.Connection) -> None:
        self._client, self._pg, self._left = client, pg, list(LINES)
        self.last = ""
        self.operator = other
        self.active = active.start("consume")
        self.active.says(ACTIVE)
        self.standby = other.start("consume")
        self.standby.says(STANDBY)

    def happen(self, count: int = 500) -> None:
        """Let the next part of the incident happen."""
        lines, self._left = self._left[:count], self._left[count:]
        self.last = [append(self._client, incident.STREAM, json.loads(line)) for line in lines][-1]

    def consumed(self) -> None:
        """Wait until all that happened is done."""
        eventually(lambda: text(self._client, OFFSET) == self.last)

    def begun(self) -> None:
        """Wait until the first of it is done."""
        eventually(lambda: text(self._client, OFFSET))

    def is_active(self, daemon: Daemon) -> None:
        """Both commands say that it is."""
        for command in (("status",), ("offset", "show")):
            shown = json.loads(self.operator.run(*command, "-o", "json").stdout)
            assert f":{daemon.process.pid}, " in shown["consumer"], shown

    def nothing_is_lost(self) -> None:
        """The rows are the model's, and Lobby knows them."""
        expected = incident.expected()["rows"]
        assert {game_id: row._asdict() for game_id, row in games(self._pg).items()} == expected
        told = {fields["game_id"]: fields for _, fields in entries(self._client, incident.LOBBY)}
        for game_id, one in told.items():
            row = expected[game_id]
            assert (one["runtime_status"], one["engine_health_summary"]) == (row["status"], row["engine_health"])

    def takes_over(self) -> None:
        """The standby becomes the active one, and does the rest."""
        self.standby.says(ACTIVE)
        self.consumed()
        self.is_active(self.standby)
        self.happen(len(self._left))
        self.consumed()
        self.nothing_is_lost()


@pytest.fixture(autouse=True)
def _rows(pg: psycopg.Connection) -> None:
    rows = json.loads((incident.DATA / "incident.rows.json").read_text(encoding="utf-8"))
    for game_id, row in rows.items():
        add_game(pg, game_id, status=row["status"], turn=row["current_turn"], health=row["engine_health"])


@pytest.fixture
def pair(gmhealth: Gmhealth, redis_client: redis.Redis, pg: psycopg.Connection) -> Pair:
    return Pair(gmhealth, gmhealth, redis_client, pg)


def test_killed(pair: Pair) -> None:
    pair.happen()
    pair.begun()
    pair.is_active(pair.active)
    pair.active.process.kill()
    pair.happen()
    pair.takes_over()


def test_both_paused(pair: Pair, redis_client: redis.Redis, pg: psycopg.Connection) -> None:
    pair.happen()
    pair.begun()
    redis_client.set(PAUSE, Pause("anna@host", "a migration", None, "ab12").pack())
    for daemon in (pair.active, pair.standby):
        daemon.says('paused  by=anna@host until="an unknown time" why="a migration"')
    eventually(lambda: not pg.execute(SESSIONS).fetchall())
    before = text(redis_client, OFFSET), games(pg)
    pair.happen()
    once = pair.operator.run("consume", "--once")
    assert (once.returncode, once.stderr.count("paused by anna@host until an unknown time (a migration)")) == (4, 1)
    assert (text(redis_client, OFFSET), games(pg)) == before
    redis_client.delete(PAUSE)
    pair.consumed()
    pair.happen(10**6)
    pair.consumed()
    pair.nothing_is_lost()


def test_frozen_and_awake_again(pair: Pair) -> None:
    pair.happen()
    pair.begun()
    pair.active.process.send_signal(signal.SIGSTOP)
    pair.happen()
    pair.takes_over()
    said = len(pair.active.said)
    pair.active.process.send_signal(signal.SIGCONT)
    pair.active.says(STANDBY)
    woken = pair.active.said[said:]
    assert "cannot go on for now" in woken
    # The last is said where it fell asleep between a statement and its answer: its own deadline passed meanwhile.
    assert any(reason in woken for reason in ("idle-session timeout", "closed", "no answer for"))
    pair.is_active(pair.standby)
    pair.standby.process.kill()  # and back again
    eventually(lambda: pair.active.said.count(f"{ACTIVE}  ") == 2)
    pair.is_active(pair.active)
    pair.nothing_is_lost()


def _target(url: str) -> Address:
    parts = urlsplit(url)
    return unquote(parts.path) if parts.scheme == "unix" else (parts.hostname or "", parts.port or 6379)


class Network:
    """What the active one reaches its servers through."""

    def __init__(self, stack: ExitStack, redis_url: str, postgres_dsn: str) -> None:
        given = conninfo_to_dict(postgres_dsn)
        host, port = str(given["host"]), int(given.get("port") or 5432)
        self.redis = stack.enter_context(gate(_target(redis_url)))
        self.postgres = stack.enter_context(gate(f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host, port)))
        database = dict(parse_qsl(urlsplit(redis_url).query))["db"]
        self.settings = {
            "GMHEALTH_REDIS_URL": f"redis://127.0.0.1:{self.redis.port}/{database}",
            "GMHEALTH_POSTGRES_DSN": make_conninfo(postgres_dsn, host="127.0.0.1", port=self.postgres.port),
        }


@pytest.fixture
def network(redis_url: str, postgres_dsn: str) -> Iterator[Network]:
    with ExitStack() as stack:
        yield Network(stack, redis_url, postgres_dsn)


@pytest.mark.parametrize("of", ["both", "PostgreSQL", "Redis"])
def test_cut_off(
    over: Over, gmhealth: Gmhealth, network: Network, redis_client: redis.Redis, pg: psycopg.Connection, of: str
) -> None:
    gates: dict[str, list[Gate]] = {
        "both": [network.redis, network.postgres],
        "PostgreSQL": [network.postgres],
        "Redis": [network.redis],
    }
    pair = Pair(over(network.settings), gmhealth, redis_client, pg)
    pair.happen()
    pair.begun()
    for each in gates[of]:
        each.close()
    pair.happen()
    pair.takes_over()
    for each in gates[of]:
        each.open()
    pair.active.says(STANDBY)
    pair.is_active(pair.standby)
    pair.nothing_is_lost()
