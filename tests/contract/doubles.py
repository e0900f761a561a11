"""Servers that misbehave in ways a real one cannot be asked to."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from urllib.parse import unquote, urlsplit


@contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A TCP server on a free port, which is given; each connection is served in its turn."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection:
                        serve(connection)

        thread = Thread(target=accept, daemon=True)  # a test that fails may leave a connection open
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
        thread.join()


@contextmanager
def saying(answer: bytes) -> Iterator[int]:
    """A server that gives one answer, whatever it is asked; without one it keeps silent."""

    def serve(connection: socket.socket) -> None:
        with suppress(ConnectionError):
            while connection.recv(65536):
                connection.sendall(answer)

    with listening(serve) as port:
        yield port


@contextmanager
def losing_the_answer_to(command: bytes, redis_url: str) -> Iterator[int]:
    """A proxy to the server at `redis_url` that hangs up once that one has carried `command` out."""

    def serve(client: socket.socket) -> None:
        with socket.socket(socket.AF_UNIX) as server:
            server.connect(unquote(urlsplit(redis_url).path))
            while asked := client.recv(65536):
                server.sendall(asked)
                answer = server.recv(65536)
                if command in asked:
                    return
                client.sendall(answer)

    with listening(serve) as port:
        yield port
