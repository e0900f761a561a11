"""The HTTP listener."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from contextlib import closing
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
from prometheus_client import CollectorRegistry

from gmhealth.core.entry import EntryId
from gmhealth.errors import ConfigError, Unusable
from gmhealth.observability.lag_watch import LagWatch, Unread
from gmhealth.observability.listener import listening, parse_address
from gmhealth.observability.liveness import STALL_S, Liveness
from gmhealth.observability.metrics import Metrics
from gmhealth.settings import load_settings
from gmhealth.worker.events import Active, Idle, Paused, Recovered, Standby, Waiting

OFFSET = EntryId(7, 0)
SERVERS = {"GMHEALTH_REDIS_URL": "redis://host", "GMHEALTH_POSTGRES_DSN": "postgresql://host"}


class Clock:
    """Goes on when it is told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Listener(NamedTuple):
    """A listener on a port of its own, and what it judges by."""

    port: int
    liveness: Liveness
    clock: Clock

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str, str]:
        """Status, content type and body."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as client:
            client.request(method, path, headers=headers)
            answer = client.getresponse()
            return answer.status, answer.headers["Content-Type"], answer.read().decode()


@pytest.fixture
def listener() -> Iterator[Listener]:
    clock = Clock()
    liveness = Liveness(clock=clock)
    lag = LagWatch(lambda: Unread(OFFSET, 0, 0.0), lambda: True)
    with listening("127.0.0.1:0", Metrics(lag).registry, liveness) as url:
        yield Listener(urlsplit(url).port or 0, liveness, clock)


def test_metrics_are_served_as_prometheus_reads_them(listener: Listener) -> None:
    status, kind, body = listener.ask("/metrics")
    assert status == 200
    assert kind.startswith("text/plain; version=")
    assert "# HELP gmhealth_lag_seconds " in body
    assert "# TYPE gmhealth_events_total counter" in body
    assert "gmhealth_event_delay_seconds_count 0.0" in listener.ask("/metrics?name[]=x")[2]
    assert listener.ask("/metrics", Accept="application/openmetrics-text; version=1.0.0")[2].endswith("# EOF\n")


@pytest.mark.parametrize("path", ["/healthz", "/metrics", "/"])
def test_head_has_no_body(listener: Listener, path: str) -> None:
    with closing(socket.create_connection(("127.0.0.1", listener.port))) as client:  # http.client would drop a body
        client.sendall(f"HEAD {path} HTTP/1.0\r\n\r\n".encode())
        head, _, body = client.makefile("rb").read().partition(b"\r\n\r\n")
    assert (b"Content-Type: text/plain" in head, body) == (True, b"")
    assert listener.ask(path, "HEAD")[:2] == listener.ask(path)[:2]


@pytest.mark.parametrize(("method", "status"), [("GET", 404), ("POST", 501), ("PUT", 501)])
def test_nothing_else_is_served(listener: Listener, method: str, status: int) -> None:
    assert listener.ask("/", method)[0] == status


def test_health_is_a_loop_that_moves(listener: Listener) -> None:
    assert listener.ask("/healthz")[0] == 200
    listener.clock.now += STALL_S
    assert listener.ask("/healthz")[0] == 503
    assert listener.ask("/healthz")[2] == "stalled: the working loop does not come round\n"
    listener.liveness(Idle(OFFSET))
    assert listener.ask("/healthz")[0] == 200


def test_ready_is_a_worker_that_can_work(listener: Listener) -> None:
    assert listener.ask("/readyz") == (503, "text/plain; charset=utf-8", "starting\n")
    listener.liveness(Active(OFFSET))
    assert listener.ask("/readyz")[0] == 200
    listener.liveness(Waiting("Redis could not read", 1.0, 1))
    assert listener.ask("/readyz")[0] == 503
    assert listener.ask("/healthz")[0] == 200, "waiting is no stall"
    listener.liveness(Recovered(1))
    assert listener.ask("/readyz")[0] == 200
    listener.clock.now += STALL_S
    assert listener.ask("/readyz")[0] == 503


def test_a_standby_is_ready(listener: Listener) -> None:
    listener.liveness(Standby("x"))
    assert listener.ask("/readyz")[::2] == (200, "standing by: another gmhealth consumes\n")


def test_one_that_is_paused_is_ready_until_a_server_does_not_answer(listener: Listener) -> None:
    listener.liveness(Paused("anna@host", "a migration", 1_795_449_364_420))
    listener.liveness(Idle(OFFSET))
    line = "paused by anna@host until 2026-11-23 15:56:04 UTC (a migration)\n"
    assert listener.ask("/readyz")[::2] == (200, line)
    listener.liveness(Waiting("Redis could not read", 1.0, 1))
    assert listener.ask("/readyz")[0] == 503
    listener.liveness(Active(OFFSET))
    assert listener.ask("/readyz")[2].startswith("consuming")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("9464", ("127.0.0.1", 9464)),
        (":9464", ("127.0.0.1", 9464)),
        ("0.0.0.0:9464", ("0.0.0.0", 9464)),
        ("host.example:9464", ("host.example", 9464)),
        ("[::1]:9464", ("::1", 9464)),
    ],
)
def test_an_address_is_the_loopbacks_unless_it_says_otherwise(text: str, address: tuple[str, int]) -> None:
    assert load_settings({**SERVERS, "GMHEALTH_METRICS_ADDR": text}, {}, None).metrics_addr == text
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", "host", "host:", "::1", "host:port", "a b:1", "host:123456"])
def test_what_is_no_address_is_refused_as_a_setting(text: str) -> None:
    with pytest.raises(ConfigError, match="GMHEALTH_METRICS_ADDR cannot be used"):
        load_settings({**SERVERS, "GMHEALTH_METRICS_ADDR": text}, {}, None)


def test_an_address_that_is_taken_is_named() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(Unusable, match=address), listening(address, CollectorRegistry(), Liveness()):
            pass


@pytest.mark.parametrize("address", ["127.0.0.1:99999", "host.invalid:9464"])
def test_an_address_that_cannot_be_is_named(address: str) -> None:
    with pytest.raises(Unusable, match=address), listening(address, CollectorRegistry(), Liveness()):
        pass


def test_a_client_that_says_nothing_keeps_nobody_waiting(listener: Listener) -> None:
    with closing(socket.create_connection(("127.0.0.1", listener.port))):
        assert listener.ask("/healthz")[0] == 200


@pytest.mark.parametrize("address", ["a..b:9464", "ä..b:9464", f"{'x' * 64}.example:9464"])
def test_a_host_that_is_no_name_is_a_matter_of_the_settings(address: str) -> None:
    with pytest.raises(ConfigError, match=address), listening(address, CollectorRegistry(), Liveness()):
        pass
