"""What each kind of user can do, and what it cannot."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest
import redis
from psycopg import errors

from gmhealth.adapters.redis import connection as redis_connection
from gmhealth.adapters.redis.ledger import RedisLedger
from gmhealth.adapters.redis.queries import RedisQueries
from gmhealth.bootstrap import ledger_keys
from gmhealth.core.commit_record import CommitRecord, Server
from gmhealth.core.entry import EntryId
from gmhealth.core.packed_letter import pack
from gmhealth.settings import Settings
from gmhealth.worker.ports import Commit, Saved
from tests import incident
from tests.e2e.conftest import Gmhealth
from tests.eventually import eventually
from tests.games import add_game, games
from tests.permissions.least import ACL, as_postgres_login, as_redis_user
from tests.servers import connect_redis

OFFSET = "gamemaster:stream_offsets:health_events"
DEAD = "gamemaster:dead_letters:health_events"
LOBBY = "gm:lobby_events"
JOURNAL = "gamemaster:journal:health_events"
WRITES = "gamemaster:writes:health_events"
RECORD = CommitRecord(1, "worker", "5-1", None, "2026-10-10 10:00:00+00", Server(), verified=False)
COMMIT = Commit(Saved(None), True, RECORD, EntryId(5, 1), job="consume", journal=b"events", writes=b"lines", games=1)

pytestmark = pytest.mark.since_redis_7  # the users' rules have selectors


def succeeded(gmhealth: Gmhealth, *arguments: str) -> str:
    done = gmhealth.run(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def checks(gmhealth: Gmhealth) -> list[dict[str, Any]]:
    """The checks of `doctor` that failed."""
    found: list[dict[str, Any]] = json.loads(gmhealth.run("doctor", "-o", "json").stdout)["checks"]
    return [check for check in found if check["result"] == "fail"]


def mended(client: redis.Redis, more: int = 0) -> str:
    """A dead letter that is a health event after all, as the rules have changed; its ID."""
    valid = [b"game_id", b"game-0000", b"event_type", b"probe_failed", b"occurred_at_ms", b"1"]
    letter = pack(b"1-1", "x", [*valid, *(b"%d" % n for n in range(more))])
    found: bytes = client.execute_command("XADD", DEAD, "*", "letter", letter)
    return found.decode()


@pytest.fixture
def consumed(gmhealth: Gmhealth, redis_client: redis.Redis, pg: psycopg.Connection) -> str:
    """The incident, done under the daemon's user; the ID of an early entry."""
    incident.record(redis_client, pg)
    succeeded(gmhealth, "consume", "--once")
    first: bytes = redis_client.xrange(incident.STREAM, count=1)[0][0]  # type: ignore[index,assignment]
    return first.decode()


def test_the_daemon_has_what_doctor_looks_for(gmhealth: Gmhealth, consumed: str) -> None:
    assert checks(gmhealth) == []


def test_a_break_that_the_daemon_met_is_kept_and_a_reader_sees_it(
    gmhealth: Gmhealth, reader: Gmhealth, consumed: str, redis_client: redis.Redis
) -> None:
    redis_client.delete(incident.STREAM)
    redis_client.xadd(incident.STREAM, {"game_id": "game-0000"}, id="1-1")
    succeeded(gmhealth, "consume", "--once")
    assert json.loads(succeeded(reader, "status", "-o", "json"))["last_break"]["kind"] == "behind"


def test_the_daemon_may_say_on_redis_that_it_waits_for_postgresql_and_a_reader_sees_it(
    gmhealth: Gmhealth, reader: Gmhealth, consumed: str, redis_client: redis.Redis, pg: psycopg.Connection
) -> None:
    with pg.transaction():
        pg.execute("SELECT 1 FROM runtime_records WHERE game_id = 'game-0000' FOR UPDATE")  # others may read
        gmhealth.start("consume").says("consuming  offset=")
        redis_client.xadd(
            incident.STREAM, {"game_id": "game-0000", "event_type": "container_oom", "occurred_at_ms": "1"}
        )
        found = eventually(lambda: json.loads(reader.run("status", "-o", "json").stdout)["waiting"])
    assert (found["server"], found["cause"]) == ("PostgreSQL", "LockNotAvailable")
    assert f"game-0000 is locked by PostgreSQL session {pg.info.backend_pid} (" in found["detail"]


@pytest.mark.parametrize("user", ["gmhealth-consume", "gmhealth-oncall"])
def test_who_commits_may_keep_the_journal_and_trim_it(
    user: str, redis_client: redis.Redis, redis_url: str, redis_names: dict[str, str]
) -> None:
    for n in range(1, 1100):
        redis_client.xadd(JOURNAL, {"a": "b"}, id=f"{n}-0")
    redis_client.xadd(incident.STREAM, {"a": "b"}, id="2000-0")
    redis_client.xadd(WRITES, {"a": "b"}, id="1-0")
    keys = ledger_keys(Settings(embedded=True))
    with redis_connection.connect(as_redis_user(redis_url, redis_names[user])) as client:
        assert RedisQueries(client).refused(keys) == []
        ledger = RedisLedger(client, keys, dead_letter_limit=10)
        assert ledger.commit(COMMIT) is None
        assert ledger.recent_writes() == [COMMIT.writes]
    assert redis_client.xlen(JOURNAL) == 1000


def test_those_on_call_can_do_everything(
    oncall: Gmhealth, consumed: str, redis_client: redis.Redis, pg: psycopg.Connection
) -> None:
    expected = games(pg)
    letter, large = mended(redis_client), mended(redis_client, 9000)
    for arguments in (
        ("status",),
        ("inspect", "game-0000"),
        ("offset", "show"),
        ("dead-letter", "show", letter),
        ("dead-letter", "retry", letter, "--yes"),
        ("dead-letter", "retry", large, "--yes"),
        ("dead-letter", "purge", letter, large, "--yes"),
        ("offset", "reset", "--to-start", "--yes", "--reason", "test"),
        ("replay", "--from-id", consumed, "--dry-run"),
        ("replay", "--from-id", consumed, "--yes"),
        ("simulate", "probe_failed", "--game-id", "game-0000", "--dry-run"),
        ("simulate", "probe_failed", "--game-id", "game-0000", "--yes"),
        ("consume", "--once"),
        ("offset", "show", "-o", "json"),
    ):
        succeeded(oncall, *arguments)
    assert checks(oncall) == []
    assert games(pg).keys() == expected.keys()
    assert redis_client.xlen(DEAD) == 2 * incident.expected()["invalid"], "those of two runs; ours is purged"


def test_a_reader_can_look_at_everything(reader: Gmhealth, gmhealth: Gmhealth, consumed: str) -> None:
    letter = json.loads(succeeded(reader, "dead-letter", "list", "-o", "json"))["letters"][0]["id"]
    daemon = gmhealth.start("consume")
    daemon.says("consuming  offset=")
    assert f":{daemon.process.pid}" in json.loads(succeeded(reader, "status", "-o", "json"))["consumer"]
    for arguments in (
        ("status",),
        ("inspect", "game-0000"),
        ("offset", "show"),
        ("dead-letter", "show", letter),
        ("offset", "reset", "--to-start", "--dry-run"),
        ("replay", "--from-id", consumed, "--dry-run"),
        ("simulate", "probe_failed", "--game-id", "game-0000", "--dry-run"),
    ):
        succeeded(reader, *arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ("offset", "reset", "--to-start", "--yes"),
        ("replay", "--from-id", "0", "--yes"),
        ("simulate", "probe_failed", "--game-id", "game-0000", "--yes"),
        ("dead-letter", "retry", "--all", "--yes"),
        ("dead-letter", "purge", "--all", "--yes"),
        ("consume", "--once"),
    ],
)
def test_a_reader_changes_nothing(
    reader: Gmhealth, consumed: str, redis_client: redis.Redis, pg: psycopg.Connection, arguments: tuple[str, ...]
) -> None:
    redis_client.xadd(incident.STREAM, {"game_id": "game-0000", "event_type": "probe_failed", "occurred_at_ms": "1"})
    mended(redis_client)
    before = games(pg), {key: redis_client.dump(key) for key in redis_client.scan_iter()}
    done = reader.run(*arguments)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "refused" in done.stderr
    assert (games(pg), {key: redis_client.dump(key) for key in redis_client.scan_iter()}) == before


def test_doctor_tells_a_reader_what_it_lacks(reader: Gmhealth, consumed: str) -> None:
    failed = {check["name"] for check in checks(reader)}
    assert "Redis permissions" in failed
    assert {"column status", "column engine_health", "column updated_at"} <= failed


COMMANDS = [
    ("FLUSHALL",),
    ("CONFIG", "GET", "*"),
    ("KEYS", "*"),
    ("SCAN", "0"),
    ("SET", "other", "1"),
    ("DEL", incident.STREAM),
    ("XTRIM", incident.STREAM, "MAXLEN", "0"),
    ("XDEL", incident.STREAM, "1-1"),
    ("DEL", OFFSET),
    ("DEL", LOBBY),
    ("XTRIM", LOBBY, "MAXLEN", "0"),
    ("DEL", JOURNAL),
    ("XDEL", WRITES, "1-1"),
    ("ACL", "LIST"),
    ("EVAL", "return redis.call('DEL', KEYS[1])", "1", OFFSET),
    ("EVAL", "return redis.call('XTRIM', ARGV[1], 'MAXLEN', '0')", "0", incident.STREAM),
]
OF_THE_DAEMON = [
    ("XADD", incident.STREAM, "*", "a", "b"),
    ("XRANGE", LOBBY, "-", "+"),
    ("XDEL", DEAD, "1-1"),
    ("XRANGE", JOURNAL, "-", "+"),
    ("EVAL", "return redis.call('XADD', KEYS[1], '*', 'a', 'b')", "1", incident.STREAM),
    ("XADD", "gamemaster:offset_audit:health_events", "*", "a", "b"),
    ("SET", "gamemaster:pause:health_events", "x"),
]
OF_A_READER = [
    ("SET", OFFSET, "0-0"),
    ("XADD", incident.STREAM, "*", "a", "b"),
    ("XADD", LOBBY, "*", "a", "b"),
    ("XADD", DEAD, "*", "a", "b"),
    ("XADD", JOURNAL, "*", "a", "b"),
    ("XADD", WRITES, "*", "a", "b"),
    ("XTRIM", JOURNAL, "MAXLEN", "0"),
    ("SET", "gamemaster:last_break:health_events", "{}"),
    ("SET", "gamemaster:waiting:health_events", "x"),
    ("SET", "gamemaster:pause:health_events", "x"),
    ("HSET", "gamemaster:dead_letters_retried:health_events", "a", "b"),
]


@pytest.mark.parametrize(
    ("user", "command"),
    [
        *(("gmhealth-consume", command) for command in COMMANDS + OF_THE_DAEMON),
        *(("gmhealth-oncall", command) for command in COMMANDS),
        *(("gmhealth-read", command) for command in COMMANDS + OF_A_READER),
    ],
)
def test_a_redis_user_has_no_more(
    user: str, command: tuple[str, ...], redis_client: redis.Redis, redis_url: str, redis_names: dict[str, str]
) -> None:
    if command == ("FLUSHALL",):  # it would empty the databases of all others, were it allowed
        told = redis_client.execute_command("ACL", "DRYRUN", redis_names[user], *command)
        assert b"no permissions to run the 'flushall' command" in told
        return
    redis_client.xadd(incident.STREAM, {"a": "b"})
    with (
        connect_redis(as_redis_user(redis_url, redis_names[user])) as client,
        pytest.raises(redis.exceptions.ResponseError, match=r"(?i)permission|can.t (run|access)"),
    ):
        client.execute_command(*command)
    assert redis_client.xlen(incident.STREAM) == 1


STATEMENTS = [
    "DELETE FROM runtime_records",
    "TRUNCATE runtime_records",
    "UPDATE runtime_records SET current_turn = 0",
    "UPDATE runtime_records SET game_id = 'x'",
    "SELECT engine_endpoint FROM runtime_records",
    "SELECT * FROM runtime_records",
    "INSERT INTO runtime_records (game_id, status) VALUES ('x', 'running')",
    "DROP TABLE runtime_records",
    "CREATE TABLE public.mine (x integer)",
]


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        *(("gmhealth_write", statement) for statement in STATEMENTS),
        *(("gmhealth_read", statement) for statement in STATEMENTS),
        ("gmhealth_read", "UPDATE runtime_records SET engine_health = ''"),
    ],
)
def test_a_postgres_role_has_no_more(
    role: str, statement: str, pg: psycopg.Connection, postgres_dsn: str, logins: dict[str, str]
) -> None:
    add_game(pg)
    before = games(pg)
    with (
        psycopg.connect(as_postgres_login(postgres_dsn, logins[role])) as connection,
        pytest.raises(errors.InsufficientPrivilege),
    ):
        connection.execute(statement.encode())
    assert games(pg) == before


def test_the_roles_may_be_made_again(pg: psycopg.Connection, logins: dict[str, str]) -> None:
    role = logins["gmhealth_write"].removeprefix("login_")
    names = {"gmhealth_write": role, "gmhealth_read": role.replace("_write_", "_read_")}
    script = (ACL.parents[1] / "sql" / "role.sql").read_text(encoding="utf-8")
    for name, own in names.items():
        script = script.replace(name, own)
    pg.execute(script.encode())


def test_nobody_can_log_in_before_a_password_is_set() -> None:
    for line in ACL.read_text(encoding="utf-8").splitlines():
        words = line.split()
        assert "resetpass" in words
        assert not [word for word in words if word.startswith((">", "#", "nopass"))]


def test_every_line_of_the_file_is_a_user_of_ours() -> None:
    """A line is `user NAME RULE...`: an ACL file has no comments."""
    assert all(line.startswith("user gmhealth-") for line in ACL.read_text(encoding="utf-8").splitlines())
