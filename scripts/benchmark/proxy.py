"""A proxy for Unix sockets that delays both directions, to put a network between a contestant and its servers.

A process of its own, one thread over `select`, whose time-out is exact to microseconds (that of `epoll` is not).
"""

from __future__ import annotations

import json
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from urllib.parse import quote, unquote, urlsplit

import redis
from psycopg import conninfo

from scripts.benchmark.roster import ROOT, Failed, environment
from scripts.benchmark.site import Site, through, with_parts

CHUNK = 1 << 18


class Pipe:
    """One direction of one connection: what has come and when it is due."""

    def __init__(self, source: socket.socket, target: socket.socket, delay_s: float) -> None:
        self.source, self.target, self._delay_s = source, target, delay_s
        self._on_the_way: deque[tuple[float, bytes]] = deque()
        self.closed = False

    def receive(self) -> None:
        """Take what has come, with the time at which it is to go on."""
        try:
            data = self.source.recv(CHUNK)
        except OSError:
            data = b""
        self._on_the_way.append((time.perf_counter() + self._delay_s, data))

    def cut(self) -> None:
        """Close the connection, and forget what is on the way."""
        self._on_the_way.clear()
        for end in (self.source, self.target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def due(self) -> float | None:
        """When the next data is to go on."""
        return self._on_the_way[0][0] if self._on_the_way else None

    def send_due(self, now: float) -> None:
        """Send on what is due; the end of the stream as well."""
        while self._on_the_way and self._on_the_way[0][0] <= now:
            _, data = self._on_the_way.popleft()
            try:
                self.target.sendall(data)
            except OSError:
                data = b""
            if not data:
                self.closed = True
                with suppress(OSError):
                    self.target.shutdown(socket.SHUT_RDWR)
                return


def serve(routes: dict[str, str], delay_s: float) -> None:
    """Forward every connection to a key of `routes` to its value, for ever; SIGUSR1 cuts all that are open."""
    listeners = {_listen(path): target for path, target in routes.items()}
    pipes: list[Pipe] = []

    def cut(*_: object) -> None:
        for pipe in pipes:
            pipe.cut()

    signal.signal(signal.SIGUSR1, cut)
    print("ready", flush=True)
    while True:
        pipes = [pipe for pipe in pipes if not pipe.closed]
        sources = {pipe.source: pipe for pipe in pipes}
        dues = [due for pipe in pipes if (due := pipe.due()) is not None]
        wait = max(0.0, min(dues) - time.perf_counter()) if dues else None
        for ready in select.select([*listeners, *sources], [], [], wait)[0]:
            if ready in sources:
                sources[ready].receive()
            else:
                client, server = ready.accept()[0], socket.socket(socket.AF_UNIX)
                server.connect(listeners[ready])
                pipes += [Pipe(client, server, delay_s), Pipe(server, client, delay_s)]
        now = time.perf_counter()
        for pipe in pipes:
            pipe.send_due(now)


def _listen(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    return listener


@contextmanager
def delayed(site: Site, round_trip_s: float) -> Iterator[tuple[Site, float]]:
    """Give `site` as seen from `round_trip_s` away, and the round trip to Redis that was measured there, in ms."""
    with proxied(site, round_trip_s / 2) as (far, _):
        yield far, _round_trip_ms(far.redis_url)


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy at work."""

    process: subprocess.Popen[str]

    def cut(self) -> None:
        """Cut every connection that is open."""
        self.process.send_signal(signal.SIGUSR1)


@contextmanager
def proxied(site: Site, delay_s: float) -> Iterator[tuple[Site, Proxy]]:
    """Give `site` as seen through a proxy that keeps everything for `delay_s`."""
    with tempfile.TemporaryDirectory(prefix="gmhealth-far-") as directory:
        far_redis, far_postgres = Path(directory, "valkey.sock"), Path(directory, ".s.PGSQL.5432")
        near = conninfo.conninfo_to_dict(site.postgres_dsn)
        url = urlsplit(site.redis_url)
        routes = {
            str(far_redis): unquote(url.path),
            str(far_postgres): f"{near['host']}/.s.PGSQL.{near['port']}",
        }
        arguments = json.dumps({"routes": routes, "delay_s": delay_s})
        line = [sys.executable, "-P", "-m", "scripts.benchmark.proxy", arguments]
        with subprocess.Popen(line, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True) as process:
            try:
                if process.stdout is None or process.stdout.readline() != "ready\n":
                    raise Failed("the proxy did not start")
                far_url = f"unix://{quote(str(far_redis))}?{url.query}"
                dsn = with_parts(site.postgres_dsn, host=directory, port="5432")
                yield through(site, far_url, dsn), Proxy(process)
            finally:
                process.kill()


def _round_trip_ms(redis_url: str) -> float:
    took: list[float] = []
    with redis.Redis.from_url(redis_url) as client:
        for _ in range(100):
            began = time.perf_counter()
            client.ping()
            took.append(time.perf_counter() - began)
    return median(took[1:]) * 1000


if __name__ == "__main__":
    serve(**json.loads(sys.argv[1]))
