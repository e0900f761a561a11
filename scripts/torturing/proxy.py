"""The network between a consumer and its servers, which does to each message what a fault wants."""

from __future__ import annotations

import socket
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from threading import Event, Lock, Thread
from typing import NamedTuple

from scripts.torturing.moments import PASS, Act, Moment, Side, Trigger, Verdict
from scripts.torturing.wire import (
    PostgresReplies,
    PostgresRequests,
    RedisReplies,
    RedisRequests,
    Reply,
    Request,
)

CHUNK = 1 << 16
MOST_SLICED = 2000
"""So many bytes of a message go one by one; the rest follows at once."""


class Published(NamedTuple):
    """A commit as it came by: when it left for Redis, and its arguments."""

    at: float
    arguments: tuple[bytes, ...]


@dataclass(slots=True)
class Weather:
    """How the next messages of a server travel: each `delay_s` late, or in slices of one byte."""

    delay_s: float = 0.0
    delayed: int = 0
    sliced: int = 0


class Proxy:
    """Forwards one consumer's connections; `trigger` strikes at its messages."""

    def __init__(self, redis: str, postgres: str) -> None:
        self.trigger: Trigger | None = None
        self.passed: Counter[Moment] = Counter()
        self.published: deque[Published] = deque()
        self.disturbed: list[float] = []  # when a connection came or went, or a server refused
        self.weather = {"redis": Weather(), "postgres": Weather()}
        self.links: list[Link] = []
        self._shut: set[str] = set()
        self._over = Event()
        self.redis_port = self._listen("redis", redis)
        self.postgres_port = self._listen("postgres", postgres)

    def _listen(self, server: str, target: str) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        Thread(target=self._accept, args=(listener, server, target), daemon=True).start()
        port: int = listener.getsockname()[1]
        return port

    def _accept(self, listener: socket.socket, server: str, target: str) -> None:
        listener.settimeout(0.2)
        with listener:
            while not self._over.is_set():
                with suppress(OSError):
                    client = listener.accept()[0]
                    self._connect(client, server, target)

    def _connect(self, client: socket.socket, server: str, target: str) -> None:
        self.disturb()
        upstream = socket.socket(socket.AF_UNIX)
        client.settimeout(None)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            upstream.connect(target)
        except OSError:
            upstream.close()
            client.close()
            return
        link = Link(self, server, client, upstream)
        self.links = [known for known in self.links if not known.closed.is_set()] + [link]
        if server in self._shut:
            link.close()
        else:
            link.start()

    def shut(self, server: str) -> None:
        """End all connections to a server, and let none through until it is opened again."""
        self._shut.add(server)
        for link in self.links:
            if link.server == server:
                link.close()

    def open(self, server: str) -> None:
        """Let connections to a server through again."""
        self._shut.discard(server)

    def disturb(self) -> None:
        """Note that whoever uses this has reason to forget what it knew."""
        self.disturbed.append(time.time())

    def at(self, moment: Moment, link: Link, raw: bytes) -> Verdict:
        """Let the fault strike, if this is its moment."""
        self.passed[moment] += 1
        trigger = self.trigger
        return trigger.pull(link, raw) if trigger is not None and trigger.reached(moment, raw) else PASS

    def close(self) -> None:
        """End all connections, and take no more."""
        self._over.set()
        for link in self.links:
            link.close()


class Link:
    """One connection: a thread for each direction, so that one message can be held while the other way is open."""

    def __init__(self, proxy: Proxy, server: str, client: socket.socket, upstream: socket.socket) -> None:
        self.proxy, self.server = proxy, server
        self.closed = Event()
        self._client, self._upstream = client, upstream
        self._pending: deque[Request] = deque()
        self._waiting = Lock()
        self._requests = RedisRequests() if server == "redis" else PostgresRequests()
        self._replies = RedisReplies() if server == "redis" else PostgresReplies()

    def start(self) -> None:
        """Begin to forward."""
        for direction in (self._forward_requests, self._forward_replies):
            Thread(target=self._until_closed, args=(direction,), daemon=True).start()

    def close(self) -> None:
        """End the connection on both sides; whatever is on the way is lost."""
        if self.closed.is_set():
            return
        self.closed.set()
        self.proxy.disturb()
        for end in (self._client, self._upstream):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _until_closed(self, direction: Callable[[], None]) -> None:
        try:
            direction()
        except OSError:
            pass
        finally:
            self.close()

    def _forward_requests(self) -> None:
        while data := self._client.recv(CHUNK):
            for request in self._requests.feed(data):
                verdict = self.proxy.at(Moment(request.kind, Side.BEFORE), self, request.raw)
                if not self._goes_on(verdict, b""):
                    return
                if verdict.act is not Act.REFUSE:
                    self._ask(request)
                else:
                    self._client.sendall(verdict.answer)

    def _ask(self, request: Request) -> None:
        if request.kind == "publish":
            self.proxy.published.append(Published(time.time(), request.arguments))
        if request.answered:
            with self._waiting:
                self._pending.append(request)
                if isinstance(self._replies, PostgresReplies):
                    self._replies.waiting += 1
        self._send(self._upstream, request.raw)

    def _forward_replies(self) -> None:
        while data := self._upstream.recv(CHUNK):
            for reply in self._replies.feed(data):
                if not self._deliver(reply):
                    return
        if isinstance(self._replies, PostgresReplies):  # the last words of a server that ends a session
            self._client.sendall(self._replies.unfinished())

    def _deliver(self, reply: Reply) -> bool:
        if reply.error:
            self.proxy.disturb()
        if not reply.asked:
            self._client.sendall(reply.raw)
            return True
        with self._waiting:
            kind = self._pending.popleft().kind
        if not self._goes_on(self.proxy.at(Moment(kind, Side.AFTER), self, reply.raw), reply.raw):
            return False
        self._send(self._client, reply.raw)
        return self._goes_on(self.proxy.at(Moment(kind, Side.DELIVERED), self, b""), b"")

    def _goes_on(self, verdict: Verdict, raw: bytes) -> bool:
        """Do to a message what was decided; False if the connection is to end."""
        if verdict.act is Act.STALL:
            self.closed.wait(verdict.seconds)
        elif verdict.act is Act.WITHHOLD:
            self.closed.wait()
        elif verdict.act is Act.HALF:
            self._client.sendall(raw[: (len(raw) + 1) // 2])
        return verdict.act in (Act.PASS, Act.STALL, Act.REFUSE)

    def _send(self, to: socket.socket, raw: bytes) -> None:
        weather = self.proxy.weather[self.server]
        if weather.delayed > 0:
            weather.delayed -= 1
            self.closed.wait(weather.delay_s)
        sliced = 0
        if weather.sliced > 0:
            weather.sliced -= 1
            sliced = min(len(raw), MOST_SLICED)
            for at in range(sliced):
                to.sendall(raw[at : at + 1])
        to.sendall(raw[sliced:])
