"""A network that can be cut: a TCP port that leads to a server until it is closed, and then swallows everything."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import TypeAlias

Address: TypeAlias = str | tuple[str, int]
"""A Unix socket's path, or host and port."""


class Gate:
    """`port` leads to `target`. A closed gate takes what comes and delivers it once it is open again."""

    def __init__(self, target: Address) -> None:
        self._target = target
        self._open = Event()
        self._open.set()
        self._ends: list[socket.socket] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Let nothing through, in neither direction, and tell nobody."""
        self._open.clear()

    def open(self) -> None:
        """Let everything through again."""
        self._open.set()

    def tear_down(self) -> None:
        """End every connection, and take no more."""
        self._open.set()
        for end in (self._server, *self._ends):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                behind = socket.socket(socket.AF_UNIX if isinstance(self._target, str) else socket.AF_INET)
                self._ends += [client, behind]
                Thread(target=self._connect, args=(client, behind), daemon=True).start()

    def _connect(self, client: socket.socket, behind: socket.socket) -> None:
        with suppress(OSError):
            self._open.wait()
            behind.connect(self._target)
            Thread(target=self._pump, args=(behind, client), daemon=True).start()
            self._pump(client, behind)

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self._open.wait()
                target.sendall(data)
        self._open.wait()
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)


@contextmanager
def gate(target: Address) -> Iterator[Gate]:
    """An open gate."""
    found = Gate(target)
    try:
        yield found
    finally:
        found.tear_down()
