"""Sentinels promote a replica that lacks the end of everything: stream, offset and snapshots (I3, I6, I9)."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psycopg
import pytest
import redis

from tests import incident
from tests.daemon import ended
from tests.e2e.conftest import Gmhealth
from tests.eventually import eventually
from tests.failover.sentinels import PASSWORD, Watched, watched
from tests.games import add_game, games
from tests.servers import connect_redis
from tests.streams import append, entries, text

Over = Callable[[Mapping[str, str]], Gmhealth]
OFFSET = "gamemaster:stream_offsets:health_events"
GAMES = [f"game-{letter}" for letter in "abcd"]


@pytest.fixture
def servers(short_path: Path) -> Iterator[Watched]:
    with watched(short_path) as found:
        yield found


@pytest.fixture
def gmhealth(over: Over, servers: Watched, postgres_dsn: str) -> Gmhealth:
    return over({**servers.settings, "GMHEALTH_POSTGRES_DSN": postgres_dsn})


@pytest.fixture(autouse=True)
def _games(pg: psycopg.Connection) -> None:
    for game_id in GAMES:
        add_game(pg, game_id)


def happen(client: redis.Redis, kind: str, *game_ids: str) -> str:
    event = {"event_type": kind, "occurred_at_ms": "1"}
    return [append(client, incident.STREAM, {"game_id": game_id, **event}) for game_id in game_ids][-1]


def consumed(client: redis.Redis, entry_id: str) -> None:
    eventually(lambda: text(client, OFFSET) == entry_id)


def told_last(client: redis.Redis) -> dict[str, str]:
    """The status of each game as Lobby knows it."""
    return {fields["game_id"]: fields["runtime_status"] for _, fields in entries(client, incident.LOBBY)}


def statuses(pg: psycopg.Connection) -> dict[str, str]:
    return {game_id: row.status for game_id, row in games(pg).items()}


def test_a_primary_that_is_lost_with_its_last_entries(
    gmhealth: Gmhealth, servers: Watched, pg: psycopg.Connection
) -> None:
    with connect_redis(servers.primary.url) as client:
        consume = gmhealth.start("consume")
        kept = happen(client, "container_oom", *GAMES[:2])
        consumed(client, kept)
        servers.wait_for_replica()
        servers.link.close()
        consumed(client, happen(client, "container_oom", *GAMES[2:]))
    assert set(statuses(pg).values()) == {"engine_unreachable"}
    with servers.fail_over() as client:
        consume.says("Redis lost the last commits, as in a failover")
        eventually(lambda: told_last(client) == statuses(pg))
        assert text(client, OFFSET) == kept
        consumed(client, happen(client, "probe_recovered", *GAMES))
        assert told_last(client) == statuses(pg) == dict.fromkeys(GAMES, "running")
    shown = json.loads(gmhealth.run("status", "-o", "json").stdout)
    assert f":{consume.process.pid}, " in shown["consumer"]
    assert shown["target"]["redis"].startswith("games by Sentinel 127.0.0.1:")
    assert PASSWORD not in consume.said
    assert consume.stop() == 0


def test_a_failover_while_another_one_takes_over(gmhealth: Gmhealth, servers: Watched, pg: psycopg.Connection) -> None:
    """Who had published what is lost is frozen meanwhile, and its entries are gone, too (I3)."""
    lost = "Redis lost the last commits, as in a failover"
    one = gmhealth.start("consume")
    one.says("consuming  ")
    other = gmhealth.start("consume")
    with connect_redis(servers.primary.url) as client:
        kept = happen(client, "container_oom", *GAMES[:2])
        consumed(client, kept)
        servers.wait_for_replica()
        servers.link.close()
        consumed(client, happen(client, "container_oom", *GAMES[2:]))
        one.process.send_signal(signal.SIGSTOP)
    with servers.fail_over() as client:
        other.says("consuming  ")
        assert told_last(client) == statuses(pg) == dict.fromkeys(GAMES, "engine_unreachable")
        one.process.send_signal(signal.SIGCONT)
        one.says(lost)
        assert text(client, OFFSET) == kept
        consumed(client, happen(client, "probe_recovered", *GAMES))
        assert told_last(client) == statuses(pg) == dict.fromkeys(GAMES, "running")
    assert [each.stop() for each in (one, other)] == [0, 0]
    assert one.said.count(lost) == 1  # the other one may not have looked between the commit and its loss


def test_doctor_asks_every_sentinel(gmhealth: Gmhealth, servers: Watched) -> None:
    def checks() -> dict[str, tuple[str, str]]:
        found = json.loads(gmhealth.run("doctor", "-o", "json").stdout)["checks"]
        return {check["name"]: (check["result"], check["found"]) for check in found}

    first, *others = (f"sentinel 127.0.0.1:{each.port}" for each in servers.sentinels)
    found = checks()
    assert [found[name] for name in (first, *others)] == [("ok", "knows the primary")] * 3
    assert found["primary games"] == ("ok", f"127.0.0.1:{servers.primary.port}")
    ended(servers.sentinels[0].process)
    found = checks()
    assert found[first][0] == "warning"
    assert found["primary games"][0] == "ok"
    assert found["Redis"][0] == "ok"


def test_without_any_sentinel_it_waits_and_names_each(gmhealth: Gmhealth, servers: Watched) -> None:
    for each in servers.sentinels:
        ended(each.process)
    done = gmhealth.run("offset", "show")
    assert done.returncode == 5, done.stderr
    assert all(f"127.0.0.1:{each.port}: " in done.stderr for each in servers.sentinels)
    assert PASSWORD not in done.stderr


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"GMHEALTH_REDIS_SENTINEL_MASTER": "others"}, "no sentinel knows a primary called 'others'"),
        ({"GMHEALTH_REDIS_SENTINEL_PASSWORD": ""}, "the sentinels refuse to answer"),
        ({"GMHEALTH_REDIS_SENTINEL_PASSWORD": "x"}, "the sentinels refuse to answer"),
    ],
)
def test_what_the_sentinels_refuse_for_good_is_not_waited_for(
    over: Over, servers: Watched, postgres_dsn: str, wrong: dict[str, str], words: str
) -> None:
    settings = {**servers.settings, "GMHEALTH_POSTGRES_DSN": postgres_dsn, **wrong}
    done = over(settings).run("consume")
    assert done.returncode == 1, done.stderr
    assert words in done.stderr
    assert next(iter(wrong)) in done.stderr


def test_a_sentinel_that_still_names_the_old_primary_is_not_believed(
    gmhealth: Gmhealth, servers: Watched, postgres_dsn: str
) -> None:
    """Each new connection asks the server itself for its role."""
    with connect_redis(servers.primary.url) as client:
        client.execute_command("REPLICAOF", "127.0.0.1", servers.replica.port)
        done = gmhealth.run("offset", "show")
    assert done.returncode == 5, done.stderr
    assert "this server is a slave, not the primary" in done.stderr


def test_one_sentinel_that_names_the_dead_primary_for_ever_holds_nothing_up(
    gmhealth: Gmhealth, servers: Watched
) -> None:
    """It is the first that is asked, and cut off from the servers that it watches."""
    consume = gmhealth.start("consume")
    with connect_redis(servers.primary.url) as client:
        consumed(client, happen(client, "container_oom", *GAMES[:2]))
        servers.wait_for_replica()
    servers.primary.process.kill()
    servers.cut_off(servers.sentinels[0])
    with servers.fail_over() as client:
        consumed(client, happen(client, "container_oom", *GAMES[2:]))
    assert consume.stop() == 0
