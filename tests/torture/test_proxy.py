"""What the proxy does to a message, as a client sees it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from scripts.torturing.moments import CUT, PASS, Act, Moment, Side, Trigger, Verdict
from scripts.torturing.proxy import Proxy
from tests.eventually import eventually

ASK = b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"
ANSWER = b"$5\r\nvalue\r\n"


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[list[bytes]]:
    """A server that answers each request alike; what it was asked."""
    found: list[bytes] = []

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                while request := received(client, len(ASK)):
                    found.append(request)
                    client.sendall(ANSWER)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "server"))
        listener.listen()
        thread = Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        yield found
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(10)


@pytest.fixture
def proxy(tmp_path: Path, asked: list[bytes]) -> Iterator[Proxy]:
    found = Proxy(str(tmp_path / "server"), str(tmp_path / "nobody"))
    yield found
    found.close()


@pytest.fixture
def client(proxy: Proxy) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", proxy.redis_port)) as found:
        found.settimeout(10)
        yield found


def received(client: socket.socket, size: int = len(ANSWER)) -> bytes:
    """What comes before the end, or `size` bytes."""
    found = b""
    while len(found) < size and (data := client.recv(size - len(found))):
        found += data
    return found


def strike(proxy: Proxy, side: Side, verdict: Verdict) -> None:
    proxy.trigger = Trigger(Moment("offset", side), 1, lambda _link, _raw: verdict)


def test_it_forwards(client: socket.socket) -> None:
    client.sendall(ASK)
    assert received(client) == ANSWER


def test_cut_before_the_request_leaves(proxy: Proxy, client: socket.socket, asked: list[bytes]) -> None:
    strike(proxy, Side.BEFORE, CUT)
    client.sendall(ASK)
    assert received(client) == b""
    assert asked == []


def test_cut_before_the_answer_comes(proxy: Proxy, client: socket.socket, asked: list[bytes]) -> None:
    strike(proxy, Side.AFTER, CUT)
    client.sendall(ASK)
    assert received(client) == b""
    assert asked == [ASK]


def test_half_an_answer(proxy: Proxy, client: socket.socket) -> None:
    strike(proxy, Side.AFTER, Verdict(Act.HALF))
    client.sendall(ASK)
    assert received(client) == ANSWER[: (len(ANSWER) + 1) // 2]


def test_an_answer_that_is_withheld_until_the_client_gives_up(proxy: Proxy, client: socket.socket) -> None:
    strike(proxy, Side.AFTER, Verdict(Act.WITHHOLD))
    client.sendall(ASK)
    eventually(lambda: proxy.trigger is not None and proxy.trigger.done.is_set())
    (link,) = proxy.links
    assert not link.closed.is_set()
    client.close()
    eventually(link.closed.is_set)


def test_slices_and_delays_change_nothing_but_the_time(proxy: Proxy, client: socket.socket, asked: list[bytes]) -> None:
    weather = proxy.weather["redis"]
    weather.sliced, weather.delayed, weather.delay_s = 4, 4, 0.001
    strike(proxy, Side.DELIVERED, PASS)
    for _ in range(3):
        client.sendall(ASK)
        assert received(client) == ANSWER
    assert asked == 3 * [ASK]
    assert (weather.sliced, weather.delayed) == (0, 0)


def test_a_server_that_is_not_there_ends_the_connection(proxy: Proxy) -> None:
    with socket.create_connection(("127.0.0.1", proxy.postgres_port)) as client:
        client.settimeout(10)
        assert client.recv(1) == b""
