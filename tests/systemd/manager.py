"""A service manager that only listens."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

PATIENCE_S = 60
State: TypeAlias = dict[str, str]


class FakeManager:
    """Receives what is sent to its notify socket."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(PATIENCE_S)

    def next(self) -> State:
        """Wait for what is said next."""
        return _read(self._socket.recv(65536))

    def until(self, name: str, text: str = "") -> list[State]:
        """Read up to the first message with the assignment `name` whose value has `text` in it."""
        heard = [self.next()]
        while text not in heard[-1].get(name, "\0no such assignment"):
            heard.append(self.next())
        return heard

    def heard(self) -> list[State]:
        """All that was said by now."""
        found = []
        self._socket.settimeout(0)
        try:
            while True:
                found.append(_read(self._socket.recv(65536)))
        except BlockingIOError:
            return found
        finally:
            self._socket.settimeout(PATIENCE_S)

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()


@contextmanager
def fake_manager(directory: Path) -> Iterator[FakeManager]:
    """Listen on a socket in `directory`."""
    manager = FakeManager(directory / "notify")
    try:
        yield manager
    finally:
        manager.close()


def _read(message: bytes) -> State:
    return dict(line.split("=", 1) for line in message.decode().splitlines())
