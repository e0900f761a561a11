"""Redis's table entry by entry: what test_redis_errors.py and test_redis_access.py leave, on servers of their own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis
from redis import exceptions

from gmhealth.adapters.redis import connection as redis_connection
from gmhealth.adapters.redis.connection import PERMANENT, TRANSIENT, TRANSIENT_PREFIXES, translate
from gmhealth.adapters.redis.ledger import RedisLedger
from gmhealth.adapters.redis.reset import RedisReset, Reset
from gmhealth.core.entry import EntryId
from gmhealth.embedded import EmbeddedServers, embedded_servers
from gmhealth.errors import Unavailable, Unusable
from gmhealth.worker.ports import Saved
from tests.eventually import eventually
from tests.ledger_keys import KEYS
from tests.servers import connect_redis


def ledger_over(client: redis.Redis) -> RedisLedger:
    return RedisLedger(client, KEYS, dead_letter_limit=100)


def test_a_server_that_loads_its_data_will_have_loaded_it(tmp_path: Path) -> None:
    options = {"enable-debug-command": "yes", "loading-process-events-interval-bytes": "1024"}
    with (
        embedded_servers(tmp_path, redis_options=options) as servers,
        connect_redis(servers.redis_url) as admin,
        redis_connection.connect(servers.redis_url) as own,
        ThreadPoolExecutor() as pool,
    ):
        own.ping()
        admin.execute_command("DEBUG", "POPULATE", 4000, "key", 100)
        admin.config_set("key-load-delay", 500)  # microseconds
        reloaded = pool.submit(admin.execute_command, "DEBUG", "RELOAD")
        with pytest.raises(Unavailable, match=r"LOADING|loading") as caught:
            eventually(lambda: ledger_over(own).saved() is None)  # until it raises
        assert caught.value.server == "Redis"
        assert reloaded.result() in (b"OK", True)
        assert ledger_over(own).saved() == Saved(None)


def test_a_cluster_that_has_no_node_for_a_key_may_get_one(tmp_path: Path) -> None:
    with (
        embedded_servers(tmp_path, redis_options={"cluster-enabled": "yes"}) as servers,
        redis_connection.connect(servers.redis_url) as own,
        pytest.raises(Unavailable, match="Hash slot not served") as caught,
    ):
        ledger_over(own).saved()
    assert caught.value.cause == "ClusterDown"


def test_a_server_with_too_many_clients_may_lose_some(own_servers: EmbeddedServers, admin: redis.Redis) -> None:
    most = str(admin.config_get("maxclients")["maxclients"])
    admin.config_set("maxclients", 1)
    try:
        with (
            redis_connection.connect(own_servers.redis_url) as own,
            pytest.raises(Unavailable, match=r"max number of clients|Broken pipe|closed|reset"),
        ):
            ledger_over(own).saved()
    finally:
        admin.config_set("maxclients", most)


def test_a_server_that_paused_its_clients_goes_on(
    own_servers: EmbeddedServers, admin: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_connection, "TIMEOUT_S", 0.5)
    with redis_connection.connect(own_servers.redis_url) as own:
        own.ping()
        admin.execute_command("CLIENT", "PAUSE", 5000)  # UNPAUSE would have to wait as well
        with pytest.raises(Unavailable, match=r"(?i)timeout"):
            ledger_over(own).saved()
    admin.ping()  # answered when the pause is over
    monkeypatch.undo()
    with redis_connection.connect(own_servers.redis_url) as own:
        assert ledger_over(own).saved() == Saved(None)


@pytest.mark.parametrize(("config", "cause"), [({"maxmemory": 1}, "OOM"), ({"min-replicas-to-write": 1}, "NOREPLICAS")])
def test_what_another_script_meets_may_pass_as_well(
    own_servers: EmbeddedServers, admin: redis.Redis, config: dict[str, int], cause: str
) -> None:
    for name, value in config.items():
        admin.config_set(name, value)
    reset = Reset(Saved(None), EntryId(1, 1), "me", "why", 1_790_000_000_000)
    with redis_connection.connect(own_servers.redis_url) as own, pytest.raises(Unavailable) as caught:
        RedisReset(own, offset="offset", audit="audit").apply(reset)
    assert caught.value.cause in (cause, "OutOfMemory")


@pytest.mark.parametrize("prefix", TRANSIENT_PREFIXES)
def test_each_prefix_may_pass_plain_and_in_a_pipeline(prefix: str) -> None:
    for words in (f"{prefix} x", f"Command # 1 (XDEL x 1-0) of pipeline caused error: {prefix} x"):
        found = translate(exceptions.ResponseError(words), "try")
        assert isinstance(found, Unavailable)
        assert (found.server, found.cause) == ("Redis", prefix)


@pytest.mark.parametrize("kind", TRANSIENT)
def test_each_class_may_pass(kind: type[exceptions.RedisError]) -> None:
    assert isinstance(translate(kind("x"), "try"), Unavailable)


@pytest.mark.parametrize("kind", PERMANENT)
def test_each_of_these_classes_stays(kind: type[exceptions.RedisError]) -> None:
    assert isinstance(translate(kind("x"), "try"), Unusable)


@pytest.mark.parametrize("words", ["", "MOVED 1 a:1", "CROSSSLOT Keys", "NOSCRIPT No", "WRONGTYPE Op", "ERR unknown"])
def test_all_else_stays(words: str) -> None:
    assert isinstance(translate(exceptions.ResponseError(words), "try"), Unusable)
