"""Both servers over TLS, with a client certificate."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import psycopg
import pytest
import redis
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests import incident
from tests.e2e.conftest import Gmhealth
from tests.games import games
from tests.permissions.tls import Certificates, Target, tls_front

Over = Callable[[Mapping[str, str]], Gmhealth]


class Fronts:
    """Both servers behind TLS, and the addresses that lead there."""

    def __init__(self, redis_url: str, redis_port: int, postgres_dsn: str, postgres_port: int) -> None:
        self._database = dict(parse_qsl(urlsplit(redis_url).query))["db"]
        self._redis_port = redis_port
        self._postgres_dsn, self._postgres_port = postgres_dsn, postgres_port

    def redis(self, **options: object) -> str:
        return f"rediss://localhost:{self._redis_port}/{self._database}?{urlencode(options)}"

    def postgres(self, **options: object) -> str:
        place = {"host": "localhost", "hostaddr": "127.0.0.1", "port": self._postgres_port}
        return make_conninfo(self._postgres_dsn, **place, sslmode="verify-full", gssencmode="disable", **options)  # type: ignore[arg-type]


def _redis_target(url: str) -> Target:
    parts = urlsplit(url)
    return Target(unquote(parts.path)) if parts.scheme == "unix" else Target("", parts.hostname or "", parts.port or 0)


def _postgres_target(dsn: str) -> Target:
    given = conninfo_to_dict(dsn)
    host, port = str(given["host"]), int(given.get("port") or 5432)
    return Target(f"{host}/.s.PGSQL.{port}") if host.startswith("/") else Target("", host, port)


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path / "certificates")


def _fronts(stack: ExitStack, redis_url: str, postgres_dsn: str, certificates: Certificates) -> Fronts:
    redis_port = stack.enter_context(tls_front(_redis_target(redis_url), certificates, postgres=False))
    postgres_port = stack.enter_context(tls_front(_postgres_target(postgres_dsn), certificates, postgres=True))
    return Fronts(redis_url, redis_port, postgres_dsn, postgres_port)


@pytest.fixture
def fronts(redis_url: str, postgres_dsn: str, certificates: Certificates) -> Iterator[Fronts]:
    with ExitStack() as stack:
        yield _fronts(stack, redis_url, postgres_dsn, certificates)


def test_the_incident_over_tls(
    over: Over, fronts: Fronts, certificates: Certificates, redis_client: redis.Redis, pg: psycopg.Connection
) -> None:
    incident.record(redis_client, pg)
    mine = certificates
    gmhealth = over(
        {
            "GMHEALTH_REDIS_URL": fronts.redis(ssl_ca_certs=mine.ca, ssl_certfile=mine.cert, ssl_keyfile=mine.key),
            "GMHEALTH_POSTGRES_DSN": fronts.postgres(sslrootcert=mine.ca, sslcert=mine.cert, sslkey=mine.key),
        }
    )
    done = gmhealth.run("consume", "--once")
    assert done.returncode == 0, done.stderr
    assert {game_id: row._asdict() for game_id, row in games(pg).items()} == incident.expected()["rows"]
    assert gmhealth.run("status").returncode == 0


def test_redis_wants_a_certificate_of_ours(
    over: Over, fronts: Fronts, postgres_dsn: str, certificates: Certificates
) -> None:
    url = fronts.redis(ssl_ca_certs=certificates.ca)
    done = over({"GMHEALTH_REDIS_URL": url, "GMHEALTH_POSTGRES_DSN": postgres_dsn}).run("offset", "show")
    assert done.returncode in (1, 5), done.stderr  # this front hangs up without saying why
    assert done.stderr.startswith("gmhealth: Redis ")


def test_postgres_wants_a_certificate_of_ours(
    over: Over, fronts: Fronts, redis_url: str, certificates: Certificates
) -> None:
    dsn = fronts.postgres(sslrootcert=certificates.ca, sslcert="/nonexistent")
    done = over({"GMHEALTH_REDIS_URL": redis_url, "GMHEALTH_POSTGRES_DSN": dsn}).run("inspect", "game-a")
    assert done.returncode in (1, 5), done.stderr
    assert done.stderr.startswith("gmhealth: PostgreSQL ")


@pytest.fixture
def refused(over: Over, redis_url: str, postgres_dsn: str) -> Callable[..., None]:
    """Checks that neither server is believed, with the words in which PostgreSQL's certificate is refused."""

    def check(fronts: Fronts, authority: Path, mine: Certificates, words: str) -> None:
        url = fronts.redis(ssl_ca_certs=authority, ssl_certfile=mine.cert, ssl_keyfile=mine.key)
        done = over({"GMHEALTH_REDIS_URL": url, "GMHEALTH_POSTGRES_DSN": postgres_dsn}).run("offset", "show")
        assert done.returncode == 1, done.stderr
        assert "certificate verify failed" in done.stderr

        dsn = fronts.postgres(sslrootcert=authority, sslcert=mine.cert, sslkey=mine.key)
        done = over({"GMHEALTH_REDIS_URL": redis_url, "GMHEALTH_POSTGRES_DSN": dsn}).run("inspect", "game-a")
        assert done.returncode == 1
        assert words in done.stderr

    return check


def test_a_server_with_a_certificate_of_another_authority_is_refused(
    refused: Callable[..., None], fronts: Fronts, tmp_path: Path, certificates: Certificates
) -> None:
    refused(fronts, Certificates(tmp_path / "other").ca, certificates, "certificate verify failed")


def test_a_server_with_the_certificate_of_another_host_is_refused(
    refused: Callable[..., None], redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    mine = Certificates(tmp_path / "elsewhere", host="elsewhere.example")
    with ExitStack() as stack:
        refused(_fronts(stack, redis_url, postgres_dsn, mine), mine.ca, mine, "elsewhere.example")


def test_a_consumer_does_not_wait_for_another_certificate(
    over: Over, fronts: Fronts, postgres_dsn: str, tmp_path: Path, certificates: Certificates
) -> None:
    other, mine = Certificates(tmp_path / "other"), certificates
    url = fronts.redis(ssl_ca_certs=other.ca, ssl_certfile=mine.cert, ssl_keyfile=mine.key)
    done = over({"GMHEALTH_REDIS_URL": url, "GMHEALTH_POSTGRES_DSN": postgres_dsn}).run("consume")
    assert done.returncode == 1, done.stderr
    assert "certificate verify failed" in done.stderr


@pytest.mark.parametrize(
    "options", [{"ssl_ca_certs": "/nonexistent"}, {"ssl_certfile": __file__}, {"ssl_keyfile": __file__}]
)
def test_a_certificate_that_cannot_be_loaded_is_a_matter_of_settings(
    over: Over, fronts: Fronts, postgres_dsn: str, options: dict[str, str]
) -> None:
    done = over({"GMHEALTH_REDIS_URL": fronts.redis(**options), "GMHEALTH_POSTGRES_DSN": postgres_dsn}).run("consume")
    assert done.returncode == 2, done.stderr
    assert "the certificates that the Redis URL names cannot be used: " in done.stderr
