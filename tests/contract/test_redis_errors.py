"""Which of Redis's errors may pass and which won't, provoked on a real server (design 3.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis
from redis import exceptions

from gmhealth.adapters.redis import connection as redis_connection
from gmhealth.adapters.redis.ledger import RedisLedger
from gmhealth.adapters.redis.stream import RedisStream
from gmhealth.core.commit_record import CommitRecord, Server
from gmhealth.core.entry import START, EntryId
from gmhealth.core.snapshot import Snapshot
from gmhealth.embedded import EmbeddedServers
from gmhealth.errors import Unavailable, Unusable
from gmhealth.worker.ports import Commit, Saved
from tests.eventually import eventually
from tests.ledger_keys import KEYS
from tests.servers import connect_redis

RECORD = CommitRecord(1, "worker", "5-1", None, "2026-10-10 10:00:00+00", Server(), verified=False)
COMMIT = Commit(Saved(None), True, RECORD, EntryId(5, 1), [Snapshot("game-a", 7, "running", "healthy", 1)])
NOBODY = ("127.0.0.1", "1")  # a primary that is not there


def ledger_over(client: redis.Redis) -> RedisLedger:
    return RedisLedger(client, KEYS, dead_letter_limit=100)


@pytest.fixture
def own(own_servers: EmbeddedServers, admin: redis.Redis) -> Iterator[redis.Redis]:
    """The product's client, connected."""
    with redis_connection.connect(own_servers.redis_url) as own:
        own.ping()
        yield own


def fail_to_save(admin: redis.Redis) -> None:
    directory = Path(str(admin.config_get("dir")["dir"]), "dump.rdb")
    directory.mkdir(exist_ok=True)
    admin.config_set("save", "900 1")
    admin.bgsave()
    eventually(lambda: admin.info("persistence")["rdb_last_bgsave_status"] == "err")


def lose_the_primary(admin: redis.Redis) -> None:
    admin.execute_command("REPLICAOF", *NOBODY)
    admin.config_set("replica-serve-stale-data", "no")


REFUSALS: dict[str, Callable[[redis.Redis], object]] = {
    "used memory > 'maxmemory'": lambda admin: admin.config_set("maxmemory", 1),
    "NOREPLICAS": lambda admin: admin.config_set("min-replicas-to-write", 1),
    "MISCONF": fail_to_save,
    "can't write against a read only replica": lambda admin: admin.execute_command("REPLICAOF", *NOBODY),
    "Link with MASTER is down": lose_the_primary,
}


@pytest.mark.parametrize("words", REFUSALS)
def test_a_server_that_takes_no_write_for_now_may_recover(own: redis.Redis, admin: redis.Redis, words: str) -> None:
    REFUSALS[words](admin)
    with pytest.raises(Unavailable, match=f"Redis could not commit to lobby and offset: .*(?i:{words})"):
        ledger_over(own).commit(COMMIT)
    admin.execute_command("REPLICAOF", "NO", "ONE")
    assert admin.dbsize() == 0


def test_a_full_server_still_gives_the_offset_and_takes_the_commit_later(own: redis.Redis, admin: redis.Redis) -> None:
    admin.config_set("maxmemory", 1)
    with pytest.raises(Unavailable):
        ledger_over(own).commit(COMMIT)
    assert ledger_over(own).saved() == Saved(None)
    admin.config_set("maxmemory", 0)
    assert ledger_over(own).commit(COMMIT) is None


def test_a_replica_is_refused_even_for_reading(own_servers: EmbeddedServers, admin: redis.Redis) -> None:
    admin.execute_command("REPLICAOF", *NOBODY)
    with redis_connection.connect(own_servers.redis_url) as client:
        with pytest.raises(Unavailable, match="this server is a slave, not the primary"):
            ledger_over(client).saved()
        admin.execute_command("REPLICAOF", "NO", "ONE")
        assert ledger_over(client).saved() == Saved(None)


def test_after_a_failover_not_even_the_open_connection_reads_from_the_replica(
    own: redis.Redis, admin: redis.Redis
) -> None:
    admin.execute_command("REPLICAOF", *NOBODY)
    with pytest.raises(Unavailable, match="read only replica"):
        ledger_over(own).commit(COMMIT)
    with pytest.raises(Unavailable, match="not the primary"):
        ledger_over(own).saved()


def test_a_server_that_is_busy_with_a_script_may_finish(own: redis.Redis, admin: redis.Redis) -> None:
    admin.config_set("busy-reply-threshold", 1)
    with connect_redis(redis_url(admin)) as other, ThreadPoolExecutor() as pool:
        endless = pool.submit(other.eval, "while true do end", 0)
        eventually(lambda: is_busy(admin))
        try:
            with pytest.raises(Unavailable, match="BUSY"):
                ledger_over(own).saved()
        finally:
            admin.script_kill()
        assert isinstance(endless.exception(), exceptions.ResponseError)


def is_busy(admin: redis.Redis) -> bool:
    try:
        return not admin.ping()
    except exceptions.ResponseError:
        return True


def redis_url(client: redis.Redis) -> str:
    return f"unix://{client.connection_pool.connection_kwargs['path']}"


@pytest.mark.parametrize(
    ("command", "word"), [(["UNBLOCK", "{}", "ERROR"], "UNBLOCKED"), (["KILL", "ID", "{}"], "[Cc]onnection|closed")]
)
def test_a_read_that_is_broken_off_can_be_made_again(
    own: redis.Redis, admin: redis.Redis, command: list[str], word: str
) -> None:
    stream, number = RedisStream(own, "events", KEYS), own.client_id()
    with ThreadPoolExecutor() as pool:
        read = pool.submit(stream.read, START, 10, 4000)
        eventually(lambda: "b" in admin.client_list(client_id=[number])[0]["flags"])
        admin.execute_command("CLIENT", *(part.format(number) for part in command))
        with pytest.raises(Unavailable, match=word):
            read.result()
    admin.xadd("events", {"game_id": "game-a"})
    assert len(stream.read(START, 10, 1).entries) == 1


def test_nobody_listening(tmp_path: Path) -> None:
    client = redis_connection.connect(f"unix://{tmp_path}/none.sock")
    with pytest.raises(Unavailable, match="Redis could not load the offset"):
        ledger_over(client).saved()


@pytest.mark.parametrize(
    "error",
    [
        exceptions.BusyLoadingError("LOADING Redis is loading the dataset in memory"),
        exceptions.ClusterDownError("CLUSTERDOWN The cluster is down"),
        exceptions.TryAgainError("TRYAGAIN Multiple keys request during rehashing of slot"),
        exceptions.ExternalAuthProviderError("the provider is away"),
        exceptions.ResponseError("LOADING Redis is loading the dataset in memory"),
        exceptions.ResponseError("Command # 1 (XDEL x 1-0) of pipeline caused error: BUSY Redis is busy"),
    ],
)
def test_what_cannot_be_provoked_here_may_pass_as_well(error: exceptions.RedisError) -> None:
    assert isinstance(redis_connection.translate(error, "try"), Unavailable)


@pytest.mark.parametrize(
    "error", [exceptions.AuthorizationError("no"), exceptions.ResponseError("ERR what?"), exceptions.DataError("x")]
)
def test_all_else_is_unusable(error: exceptions.RedisError) -> None:
    assert isinstance(redis_connection.translate(error, "try"), Unusable)
