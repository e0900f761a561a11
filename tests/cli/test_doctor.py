"""`gmhealth doctor`: each check is made to fail by what it is there to find."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import redis
from psycopg import conninfo
from psycopg.sql import SQL

from gmhealth.embedded import embedded_servers, prepare
from gmhealth.errors import Unusable
from tests import daemon
from tests.cli.conftest import Run
from tests.cli.world import LETTERS, OFFSET, RECORD, STREAM, append, dump, event
from tests.contract.roles import READ, WRITE, limited_role
from tests.daemon import ended
from tests.eventually import eventually
from tests.servers import new_postgres_database


def checks(view: Any) -> dict[str, tuple[str, str, str]]:
    return {check["name"]: (check["result"], check["found"], check["hint"]) for check in view["checks"]}


@pytest.fixture
def look(run_json: Callable[..., Any]) -> Callable[..., dict[str, tuple[str, str, str]]]:
    """Run the doctor; gives result, finding and hint of each check."""
    return lambda code=0: checks(run_json("doctor", code=code))


Look = Callable[..., dict[str, tuple[str, str, str]]]


@pytest.mark.usefixtures("live")
@pytest.mark.since_redis_7
def test_where_all_is_well_nothing_is_found(
    run: Run, look: Look, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "gmhealth.operations.doctor.CLOCKS_S", 60
    )  # this machine may stall between two looks at a clock
    append(redis_client, event("game-a", "probe_failed"))
    eventually(lambda: redis_client.exists(OFFSET))
    found = look()
    assert {name: check for name, check in found.items() if check[0] != "ok"} == {}
    assert len(found) > 20
    text = run("doctor").stdout
    assert f"stream {STREAM}" in text
    assert "→" not in text


def test_what_a_server_refuses_for_good_is_not_looked_for_on_the_network(
    look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise Unusable("PostgreSQL refused to ask for its state", hint="`gmhealth doctor` looks at both servers")

    monkeypatch.setattr("gmhealth.adapters.postgres.queries.PostgresQueries.checks", refuse)
    assert look(6)["PostgreSQL"] == (
        "fail",
        "PostgreSQL refused to ask for its state",
        "the server's own log may say more",
    )


def test_it_touches_nothing(look: Look, redis_client: redis.Redis, pg: psycopg.Connection, consumed: list[str]) -> None:
    before = dump(redis_client, pg)
    look()
    assert dump(redis_client, pg) == before


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_hint_is_shown_where_the_encoding_has_no_arrow(
    environ: dict[str, str], redis_client: redis.Redis, pg: psycopg.Connection, encoding: str
) -> None:
    done = daemon.run(["doctor"], {**environ, "PYTHONIOENCODING": encoding})
    arrow = "→" if encoding == "utf-8" else "\\u2192"
    assert f"{arrow} start it: gmhealth consume" in done.stdout
    assert "Traceback" not in done.stderr
    assert done.returncode == 0


@pytest.mark.parametrize("key", [STREAM, "gm:lobby_events", LETTERS])
def test_a_key_that_is_no_stream(look: Look, run: Run, redis_client: redis.Redis, key: str) -> None:
    redis_client.set(key, "x")
    found = look(code=6)
    assert found[f"key {key}"][:2] == ("fail", "string")
    assert "it must be a stream" in found[f"key {key}"][2]
    result = run("doctor", code=6)
    assert "checks failed" in result.stderr


@pytest.mark.parametrize("key", [OFFSET, RECORD, "gamemaster:pause:health_events"])
def test_a_key_that_is_no_string(look: Look, redis_client: redis.Redis, key: str) -> None:
    redis_client.lpush(key, "x")
    assert look(code=6)[f"key {key}"][:2] == ("fail", "list")


def test_an_offset_that_is_none(look: Look, redis_client: redis.Redis) -> None:
    redis_client.set(OFFSET, "garbage")
    result, found, hint = look(code=6)["offset"]
    assert result == "fail"
    assert "no entry ID" in found
    assert "gmhealth offset reset" in hint


def test_a_trimmed_gap(look: Look, redis_client: redis.Redis) -> None:
    for number in range(1, 10):
        append(redis_client, event("game-a", "probe_failed"), f"{number}-0")
    redis_client.set(OFFSET, "2-0")
    redis_client.xtrim(STREAM, maxlen=3, approximate=False)
    result, found, hint = look(code=6)["gap"]
    assert result == "fail"
    assert "trimmed past the offset" in found
    assert "gmhealth offset show" in hint


def test_a_stream_behind_the_offset(look: Look, redis_client: redis.Redis) -> None:
    append(redis_client, event("game-a", "probe_failed"), "1-0")
    redis_client.set(OFFSET, "9999999999999-0")
    assert look(code=6)["gap"][0] == "fail"


def test_a_stream_that_is_gone(look: Look, redis_client: redis.Redis) -> None:
    redis_client.set(OFFSET, "5-0")
    found = look(code=6)
    assert (found["gap"][0], found["stream"][:2]) == ("fail", ("warning", "not there"))
    assert "it is not known how many of its entries were unread" in found["gap"][1]


def test_dead_letters_and_no_consumer_are_warnings(look: Look, redis_client: redis.Redis) -> None:
    redis_client.xadd(LETTERS, {"a": "b"})
    found = look()
    assert found["dead letters"][:2] == ("warning", "1")
    assert found["consumer"] == ("warning", "none", "start it: gmhealth consume")


@pytest.fixture
def acl_user(redis_client: redis.Redis, redis_url: str) -> Iterator[Callable[..., str]]:
    """Makes a Redis user with these rules; gives the URL to connect as it."""
    name = f"limited-{uuid4().hex}"

    def make(*rules: str) -> str:
        redis_client.acl_setuser(name, enabled=True, reset=True, passwords=["+s3cr3t"])
        redis_client.execute_command("ACL", "SETUSER", name, "~*", *rules)
        return redis_url.replace("://", f"://{name}:s3cr3t@")

    yield make
    redis_client.acl_deluser(name)


NEEDED = [
    "+xread", "+xrange", "+xrevrange", "+xlen", "+xinfo|stream", "+xadd", "+xtrim", "+get", "+set", "+type", "+evalsha",
    "+script|load", "+eval", "+role", "+select", "+client|setname", "+info", "+time", "+hmget",
]  # fmt: skip


@pytest.mark.since_redis_7
def test_a_redis_user_that_may_do_what_is_needed(
    look: Look, run: Run, acl_user: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GMHEALTH_REDIS_URL", acl_user(*NEEDED))
    assert look()["Redis permissions"][:2] == ("ok", "all that consume needs")
    run("consume", "--once")


@pytest.mark.since_redis_7
@pytest.mark.parametrize(
    ("missing", "told"),
    [
        ("+xadd", "XADD gm:lobby_events"),
        ("+xtrim", "XTRIM gamemaster:journal:health_events"),
        ("+set", f"SET {OFFSET}"),
        ("+get", f"GET {OFFSET}"),
        ("+xread", f"XREAD {STREAM}"),
        ("+xinfo|stream", f"XINFO {STREAM}"),
        ("+evalsha", f"EVALSHA {OFFSET}"),
        ("+script|load", "SCRIPT LOAD"),
        ("+type", "TYPE gm:lobby_events"),
    ],
)
def test_a_redis_user_that_may_not(
    run: Run,
    look: Look,
    acl_user: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    missing: str,
    told: str,
) -> None:
    monkeypatch.setenv("GMHEALTH_REDIS_URL", acl_user(*(rule for rule in NEEDED if rule != missing)))
    found = look(code=6)
    assert found["Redis permissions"][0] == "fail"
    assert told in found["Redis permissions"][1]
    assert "ACL" in found["Redis permissions"][2]
    assert "s3cr3t" not in run("doctor", code=6).output


@pytest.mark.since_redis_7
def test_a_redis_user_that_may_not_touch_the_keys(
    look: Look, redis_client: redis.Redis, acl_user: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GMHEALTH_REDIS_URL", acl_user("resetkeys", f"~{STREAM}", *NEEDED))
    assert look(code=6)["Redis permissions"][0] == "fail"


@pytest.mark.since_redis_7
def test_a_redis_user_that_may_not_see_a_pause(
    look: Look, acl_user: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    but_the_pause = ["resetkeys", f"~{STREAM}", "~gm:*", "~gamemaster:[^p]*"]
    monkeypatch.setenv("GMHEALTH_REDIS_URL", acl_user(*but_the_pause, *NEEDED))
    assert look(code=6)["Redis permissions"][1] == "may not GET gamemaster:pause:health_events"


def test_a_table_that_is_not_there(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GMHEALTH_POSTGRES_TABLE", "elsewhere.runtime_records")
    result, found, hint = look(code=6)["table elsewhere.runtime_records"]
    assert (result, found) == ("fail", "not there")
    assert "GMHEALTH_POSTGRES_TABLE" in hint


@pytest.mark.parametrize("column", ["game_id", "status", "current_turn", "engine_health", "updated_at"])
def test_a_column_that_is_not_there(look: Look, pg: psycopg.Connection, column: str) -> None:
    pg.execute(SQL("ALTER TABLE runtime_records RENAME {} TO other").format(SQL(column)))
    assert look(code=6)[f"column {column}"][:2] == ("fail", "not there")


def test_a_column_of_another_type(look: Look, pg: psycopg.Connection) -> None:
    pg.execute("ALTER TABLE runtime_records ALTER COLUMN updated_at TYPE timestamp")
    result, found, hint = look(code=6)["column updated_at"]
    assert (result, found) == ("fail", "timestamp without time zone")
    assert "it must be timestamp with time zone" in hint


def as_role(dsn: str, role: str) -> str:
    return conninfo.make_conninfo(dsn, options=f"-c role={role}")


def test_a_role_with_the_grants_that_are_needed(
    look: Look, run: Run, pg: psycopg.Connection, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with limited_role(pg, READ, WRITE) as role:
        monkeypatch.setenv("GMHEALTH_POSTGRES_DSN", as_role(postgres_dsn, role))
        assert {name: found for name, found in look().items() if found[0] == "fail"} == {}
        run("consume", "--once")


@pytest.mark.parametrize(
    ("grants", "column", "missing"),
    [
        ((READ,), "status", "UPDATE"),
        ((READ,), "engine_health", "UPDATE"),
        ((READ,), "updated_at", "UPDATE"),
        ((WRITE,), "game_id", "SELECT"),
        ((WRITE,), "current_turn", "SELECT"),
    ],
)
def test_a_role_without_a_grant(
    look: Look,
    pg: psycopg.Connection,
    postgres_dsn: str,
    monkeypatch: pytest.MonkeyPatch,
    grants: tuple[SQL, ...],
    column: str,
    missing: str,
) -> None:
    with limited_role(pg, *grants) as role:
        monkeypatch.setenv("GMHEALTH_POSTGRES_DSN", as_role(postgres_dsn, role))
        result, found, hint = look(code=6)[f"column {column}"]
        assert (result, found) == ("fail", f"no {missing} on it")
        assert hint == f"GRANT {missing} ({column}) ON runtime_records TO {role};"
        pg.execute(hint.encode())
        assert look(code=6)[f"column {column}"][0] == "ok"


@pytest.mark.parametrize(("server", "ahead"), [("Redis", -100.0), ("PostgreSQL", 100.0)])
def test_a_clock_that_is_wrong(look: Look, monkeypatch: pytest.MonkeyPatch, server: str, ahead: float) -> None:
    monkeypatch.setattr("gmhealth.operations.doctor.time", SimpleNamespace(time=lambda: time.time() - ahead))
    result, found, hint = look()[f"clock of {server}"]
    assert result == "warning"
    assert abs(float(found.split()[0]) - ahead) < 10
    assert "NTP" in hint


@pytest.fixture(scope="module")
def careless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Servers that forget, and evict."""
    with embedded_servers(
        tmp_path_factory.mktemp("careless"),
        redis_options={"appendonly": "no", "maxmemory-policy": "allkeys-lru"},
        postgres_options={"fsync": "off"},
    ) as servers:
        yield {"GMHEALTH_REDIS_URL": servers.redis_url, "GMHEALTH_POSTGRES_DSN": servers.postgres_dsn}


@pytest.mark.parametrize(("name", "found"), [("Redis AOF", "off"), ("Redis eviction", "allkeys-lru")])
def test_settings_that_lose_data_are_warnings(
    look: Look, careless: dict[str, str], monkeypatch: pytest.MonkeyPatch, name: str, found: str
) -> None:
    for variable, value in careless.items():
        monkeypatch.setenv(variable, value)
    result, told, hint = look()[name]
    assert (result, told) == ("warning", found)
    assert hint


@pytest.mark.parametrize(("encoding", "result"), [("LATIN1", "warning"), ("SQL_ASCII", "ok")])
def test_a_database_that_cannot_hold_every_id_is_a_warning(
    look: Look,
    shared_servers: tuple[str, str],
    postgres_admin: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    encoding: str,
    result: str,
) -> None:
    new = new_postgres_database(postgres_admin, shared_servers[1], template="template0", encoding=encoding)
    with new as dsn:
        prepare(dsn)
        monkeypatch.setenv("GMHEALTH_POSTGRES_DSN", dsn)
        found = look()
    assert found["PostgreSQL encoding"][:2] == (result, encoding)
    assert found["column status"][:2] == ("ok", "text, may read and write")


def test_a_redis_cluster(look: Look, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with embedded_servers(tmp_path, redis_options={"cluster-enabled": "yes"}) as servers:
        monkeypatch.setenv("GMHEALTH_REDIS_URL", servers.redis_url)
        result, found, hint = look(code=6)["Redis Cluster"]
    assert (result, found) == ("fail", "yes")
    assert "one primary" in hint


@pytest.mark.parametrize(
    ("answers", "name", "result"),
    [
        ({"number": 130012, "version": "13.12"}, "PostgreSQL", "fail"),
        ({"recovery": True}, "PostgreSQL primary", "fail"),
    ],
)
def test_a_server_that_cannot_be_had_here(
    look: Look, monkeypatch: pytest.MonkeyPatch, answers: dict[str, Any], name: str, result: str
) -> None:
    """PostgreSQL 13 has no wheel, and a session of ours never stays on a standby: their answers are put in."""
    from gmhealth.adapters.postgres.queries import PostgresQueries

    asked = PostgresQueries.checks
    monkeypatch.setattr(PostgresQueries, "checks", lambda self, questions: {**asked(self, questions), **answers})
    assert look(code=6)[name][0] == result


def test_an_old_redis_is_a_warning(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which the tests do not bring: its answers are put in."""
    from gmhealth.adapters.redis.queries import RedisQueries

    asked = RedisQueries.info
    answers = {"redis_version": "6.2.1"}
    monkeypatch.setattr(RedisQueries, "info", lambda self, section: {**asked(self, section), **answers})
    monkeypatch.setattr(RedisQueries, "refused", lambda *_: None)
    found = look()
    assert found["Redis"][0] == "warning"
    assert found["Redis permissions"][:2] == ("warning", "this server cannot tell (before 7.0)")


@pytest.mark.parametrize(
    ("variable", "value", "away"),
    [
        ("GMHEALTH_REDIS_URL", "redis://127.0.0.1:1/0", "Redis"),
        ("GMHEALTH_POSTGRES_DSN", "postgresql://127.0.0.1:1/x", "PostgreSQL"),
    ],
)
def test_a_server_that_is_away_fails_once_and_the_rest_is_looked_at(
    look: Look, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, away: str
) -> None:
    monkeypatch.setenv(variable, value)
    found = look(code=6)
    assert [name for name, check in found.items() if check[0] == "fail"] == [away]
    assert "is it running" in found[away][2]
    skipped = [name for name, check in found.items() if check[0] == "skipped"]
    assert len(skipped) == 4
    assert all(f"{away} cannot be reached" in found[name][1] for name in skipped)
    other = "PostgreSQL" if away == "Redis" else "Redis"
    assert found[other][0] in ("ok", "warning")  # an old one


@pytest.mark.skipif(shutil.which("pgbouncer") is None, reason="no pgbouncer on this machine to pool sessions with")
def test_a_pooler_in_transaction_mode(
    look: Look, postgres_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = conninfo.conninfo_to_dict(postgres_dsn)
    target = " ".join(f"{name}={server[name]}" for name in ("host", "port", "dbname", "user"))
    (tmp_path / "pgbouncer.ini").write_text(
        f"[databases]\npooled = {target}\n[pgbouncer]\npool_mode = transaction\nauth_type = any\n"
        f"unix_socket_dir = {tmp_path}\nlisten_port = 6432\nlogfile = {tmp_path}/log\npidfile = {tmp_path}/pid\n"
        "ignore_startup_parameters = extra_float_digits\n"
    )
    # It does not run as root; the one capability lets it reach the private directories of these tests.
    nobody = ["setpriv", "--reuid=nobody", "--clear-groups", "--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    start = ["pgbouncer", str(tmp_path / "pgbouncer.ini")]
    process = subprocess.Popen([*nobody, *start] if os.geteuid() == 0 else start, stderr=subprocess.DEVNULL)
    try:
        eventually((tmp_path / ".s.PGSQL.6432").exists)
        monkeypatch.setenv("GMHEALTH_POSTGRES_DSN", f"host={tmp_path} port=6432 dbname=pooled user={server['user']}")
        result, found, hint = look(code=6)["PostgreSQL session"]
    finally:
        ended(process)
    assert (result, found) == ("fail", "shared with others by a pooler")
    assert "session mode" in hint
