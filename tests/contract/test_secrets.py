"""Passwords and what a server says when they are wrong: permanent, with a hint, and never shown (design 3.3)."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo

from gmhealth.adapters.postgres import address as postgres_address
from gmhealth.adapters.postgres import connection as postgres_connection
from gmhealth.adapters.postgres.errors import translate
from gmhealth.adapters.redis import address as redis_address
from gmhealth.adapters.redis import connection as redis_connection
from gmhealth.embedded import EmbeddedServers
from gmhealth.errors import ConfigError, GmhealthError, Unavailable, Unusable
from tests.canary import CANARY, shown


@pytest.fixture(scope="module")
def dsn(own_servers: EmbeddedServers) -> str:
    """The server's address; in front of it belong user and password."""
    with psycopg.connect(own_servers.postgres_dsn, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE clerk LOGIN PASSWORD '{CANARY}'".encode())
    return own_servers.postgres_dsn.partition("@")[2]


def connect(dsn: str, password: str | None = None) -> None:
    postgres_connection.connect(dsn, password=password, application_name="test").close()


def test_the_right_password_from_either_place(dsn: str) -> None:
    connect(f"postgresql://clerk:{CANARY}@{dsn}")
    connect(f"postgresql://clerk@{dsn}", CANARY)


@pytest.mark.parametrize(
    ("user", "words", "hint"),
    [
        (f"clerk:x{CANARY}", "password authentication failed", "the user and the password"),
        (f"nobody:{CANARY}", "password authentication failed", "the user and the password"),
        ("clerk", "no password supplied", "GMHEALTH_POSTGRES_PASSWORD_FILE"),
        (f"stranger:{CANARY}", "pg_hba.conf rejects connection", "pg_hba.conf"),
    ],
)
def test_who_is_not_let_in_is_told_why_and_need_not_try_again(dsn: str, user: str, words: str, hint: str) -> None:
    with pytest.raises(Unusable, match=f"PostgreSQL refused to connect: .*{words}") as caught:
        connect(f"postgresql://{user}@{dsn}")
    assert hint in caught.value.hint
    assert CANARY not in shown(caught.value)


def test_a_database_that_is_not_there(dsn: str) -> None:
    with pytest.raises(Unusable, match='"elsewhere" does not exist') as caught:
        connect(f"postgresql://clerk:{CANARY}@{dsn.replace('/gmhealth', '/elsewhere', 1)}")
    assert "the database of GMHEALTH_POSTGRES_DSN" in caught.value.hint
    assert CANARY not in shown(caught.value)


@pytest.fixture
def shut(own_servers: EmbeddedServers) -> Iterator[None]:
    """A role that is for grants alone, and a database that is not for everybody."""
    with psycopg.connect(own_servers.postgres_dsn, autocommit=True) as admin:
        admin.execute("CREATE ROLE grants NOLOGIN PASSWORD 'x'")
        admin.execute("CREATE DATABASE shut")
        admin.execute("REVOKE CONNECT ON DATABASE shut FROM public")
        yield
        admin.execute("DROP DATABASE shut")
        admin.execute("DROP ROLE grants")


@pytest.mark.parametrize(
    ("user", "database", "words", "hint"),
    [
        ("grants:x", "gmhealth", 'role "grants" is not permitted to log in', "LOGIN IN ROLE"),
        (f"clerk:{CANARY}", "shut", 'permission denied for database "shut"', "GRANT CONNECT ON DATABASE"),
    ],
)
def test_a_role_that_may_not_come_in_is_told_what_to_grant(
    dsn: str, shut: None, user: str, database: str, words: str, hint: str
) -> None:
    with pytest.raises(Unusable, match=f"PostgreSQL refused to connect: .*{words}") as caught:
        connect(f"postgresql://{user}@{dsn.replace('/gmhealth', f'/{database}', 1)}")
    assert hint in caught.value.hint


def test_a_server_without_tls_won_t_get_it_by_waiting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as plain, ThreadPoolExecutor() as pool:
        port = plain.getsockname()[1]
        refused = pool.submit(connect, f"postgresql://clerk@127.0.0.1:{port}/x?sslmode=require&gssencmode=disable")
        client, _ = plain.accept()
        with client:
            client.recv(8)  # an SSLRequest
            client.sendall(b"N")
            with pytest.raises(Unusable, match="server does not support SSL, but SSL was required") as caught:
                refused.result()
    assert "sslmode" in caught.value.hint


def several(dsn: str, *hosts: str) -> str:
    """`dsn` with these hosts, as one who is let in nowhere."""
    return conninfo.make_conninfo(
        f"postgresql://stranger@{dsn}", host=",".join(hosts), port=",".join("5432" for _ in hosts)
    )


def test_with_several_hosts_one_that_refuses_us_is_no_reason_to_give_the_others_up(dsn: str, tmp_path: Path) -> None:
    here = str(conninfo.conninfo_to_dict(f"postgresql://{dsn}")["host"])
    for hosts in ((here, str(tmp_path)), (str(tmp_path), here)):
        with pytest.raises(Unavailable, match=r"pg_hba\.conf rejects connection"):
            connect(several(dsn, *hosts))
    with pytest.raises(Unusable, match=r"pg_hba\.conf rejects connection"):
        connect(several(dsn, here, f"{here}/"))


def test_a_host_that_refuses_us_at_one_of_its_addresses_refuses_us() -> None:
    """As `localhost` may that is listened to on one of its two; what psycopg says of it."""
    failures = (
        "- host: 'localhost', port: '5432', hostaddr: '::1': connection failed: Connection refused",
        "- host: 'localhost', port: '5432', hostaddr: '127.0.0.1': connection failed: no password supplied",
    )
    for each in (failures, failures[::-1]):
        text = "\n".join(("connection failed", "Multiple connection attempts failed. All failures were:", *each))
        assert isinstance(translate(psycopg.OperationalError(text), "connect"), Unusable)


def test_a_role_without_a_free_connection_may_have_one_later(own_servers: EmbeddedServers, dsn: str) -> None:
    with psycopg.connect(own_servers.postgres_dsn, autocommit=True) as admin:
        admin.execute("ALTER ROLE clerk CONNECTION LIMIT 0")
        with pytest.raises(Unavailable, match="too many connections"):
            connect(f"postgresql://clerk:{CANARY}@{dsn}")
        admin.execute("ALTER ROLE clerk CONNECTION LIMIT -1")


BAD_DSNS = [
    CANARY,
    f"host=db password='{CANARY}",
    f"postgresql://user:{CANARY}@[::1/db",
    f"postgresql://user:{CANARY}/x@db/db",
    f"postgresql://user:12/{CANARY}@db/db",
    f"postgresql://user:x@{CANARY}@127.0.0.1:1/db",
    f"postgresql://user:x@y@{CANARY}@127.0.0.1:1/db",
    f"postgresql://user:x@@{CANARY}@127.0.0.1:1/db",
    f"postgresql://user:x?y@{CANARY}@127.0.0.1:1/db",
    f"postgres://user:x@{CANARY}@127.0.0.1?dbname=db",
    f"postgresql://user:{CANARY}@db..internal/db",
    f"postgresql://user:{CANARY}@db,{'x' * 64}.internal/db",
]
BAD_URLS = [
    CANARY,
    f"http://user:{CANARY}@redis",
    f"redis://user:{CANARY}/x@redis:6379/0",
    f"redis://user:{CANARY}#x@redis:6379/0",
    f"redis://user:x?{CANARY}@redis:6379/0",
    f"redis://user:{CANARY}@redis:port/0",
    f"redis://user:{CANARY}@[::1",
    f"unix://user:x/{CANARY}@/run/redis.sock",
    f"unix://user:x@y/{CANARY}@/run/redis.sock",
    f"redis://user:{CANARY}@redis?socket_timeout=soon",
    f"redis://user:x@{CANARY}?word@redis:6379/0",
    f"redis://user:x@{CANARY}?word@redis",
    f"redis://user:x@redis/0?{CANARY}",
    f"redis://user:x@redis/0?{CANARY}=1",
    f"redis://redis/{CANARY}",
    f"rediss://user:{CANARY}@redis/0?ssl_cert_reqs=perhaps",
    f"redis://user:{CANARY}@cache..internal:6379/0",
    f"redis://user:{CANARY}@{'x' * 64}.internal",
]


@pytest.mark.parametrize("dsn", BAD_DSNS)
def test_a_dsn_that_cannot_be_read_is_not_shown(dsn: str) -> None:
    with pytest.raises(ConfigError) as caught:
        connect(dsn)
    assert CANARY not in shown(caught.value)


@pytest.mark.parametrize("url", BAD_URLS)
def test_a_url_that_cannot_be_read_is_not_shown(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        redis_connection.connect(url)
    assert CANARY not in shown(caught.value)


def test_a_path_is_no_host_name(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="could not connect"):
        connect(f"host={tmp_path}/{'x' * 64} dbname=x")


@pytest.mark.parametrize("dsn", BAD_DSNS)
def test_no_dsn_is_described_with_its_password(dsn: str) -> None:
    assert CANARY not in postgres_address.describe(dsn)


@pytest.mark.parametrize("url", BAD_URLS)
def test_no_url_is_described_with_its_password(url: str) -> None:
    assert CANARY not in redis_address.describe(url)


@pytest.mark.parametrize(
    ("dsn", "description"),
    [
        (f"postgresql://gm:{CANARY}@db-1:5433/games", "gm@db-1:5433/games"),
        (f"host=db-1 user=gm password={CANARY} dbname=games", "gm@db-1/games"),
        (f"postgresql://gm:{CANARY}@/games?host=/run/postgresql", "gm@/run/postgresql/games"),
        (f"postgresql://gm:x%40{CANARY}@db-1/games", "gm@db-1/games"),
        (f"postgresql://db-1/games?user=gm&password=x@{CANARY}@y", "gm@db-1/games"),
        ("postgresql://gm@/games?host=@abstract", "gm@@abstract/games"),
        (f"host=db-1 user=gm password=x://y@{CANARY}@z dbname=games", "gm@db-1/games"),
        (f"postgresql://gm:{CANARY}@a:1,b:2/games", "gm@a:1,b:2/games"),
        (f"host=a,b port=5433 user=gm password={CANARY} dbname=games", "gm@a:5433,b:5433/games"),
        ("host=a,/run/b,,d port=1,,3, dbname=games", "me@a:1,/run/b,local socket:3,d/games"),
        ("hostaddr=10.0.0.1,::1 port=1,2 dbname=games", "me@10.0.0.1:1,[::1]:2/games"),
        ("dbname=games", "me@local socket/games"),
        ("host=db-1", "me@db-1/me"),
        ("service=games", "service games"),
        ("service=games user=gm dbname=games", "gm@service games/games"),
        ("service=games host=db-1 dbname=games", "me@db-1/games"),
    ],
)
def test_a_dsn_is_described_by_user_host_and_database(
    monkeypatch: pytest.MonkeyPatch, dsn: str, description: str
) -> None:
    for name in ("PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PGUSER", "me")
    assert postgres_address.describe(dsn) == description


@pytest.mark.parametrize(
    ("dsn", "description"),
    [
        ("postgresql:///games", "env@env-1:6543/games"),
        ("postgresql://gm@/", "gm@env-1:6543/env_games"),
        ("postgresql://gm@db-1:5432/games", "gm@db-1:5432/games"),
        ("hostaddr=10.0.0.1 dbname=games", "env@10.0.0.1:6543/games"),
    ],
)
def test_what_a_dsn_leaves_out_is_described_by_the_environment_that_decides_it(
    monkeypatch: pytest.MonkeyPatch, dsn: str, description: str
) -> None:
    monkeypatch.delenv("PGHOSTADDR", raising=False)
    for name, value in {"HOST": "env-1", "PORT": "6543", "USER": "env", "DATABASE": "env_games"}.items():
        monkeypatch.setenv(f"PG{name}", value)
    assert postgres_address.describe(dsn) == description


def test_a_host_from_the_environment_that_cannot_be_looked_up_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "a..b")
    with pytest.raises(ConfigError, match="the name of the PostgreSQL host cannot be looked up") as raised:
        connect(f"dbname=games password={CANARY}")
    assert raised.value.hint is not None
    assert "PGHOST" in raised.value.hint
    assert CANARY not in shown(raised.value)


@pytest.mark.parametrize(
    ("url", "description"),
    [
        (f"redis://gm:{CANARY}@redis-1:6380/3", "redis-1:6380 database 3"),
        (f"rediss://:{CANARY}@redis-1", "redis-1:6379 database 0"),
        (f"redis://redis-1?db=2&password={CANARY}", "redis-1:6379 database 2"),
        (f"unix://gm:{CANARY}@/run/my%20redis.sock?db=4", "unix:/run/my redis.sock database 4"),
        (f"unix://gm:{CANARY}@/run/redis@a.sock", "unix:/run/redis@a.sock database 0"),
        ("unix:///run/redis@a.sock", "unix:/run/redis@a.sock database 0"),
    ],
)
def test_a_url_is_described_by_host_and_database(url: str, description: str) -> None:
    assert redis_address.describe(url) == description


def test_an_error_and_its_cause_are_what_is_shown() -> None:
    """Or else the tests above would look at nothing."""
    error = GmhealthError("said", hint="hinted")
    error.__cause__ = ValueError("caused")
    assert all(word in shown(error) for word in ("said", "hinted", "caused"))
