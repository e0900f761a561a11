"""What the two servers have in common: how a server is started, waited for, recognised and stopped.

Each one inherits the open descriptor of its locked `server.lock` and never closes it. So the system itself says
whether any process of the server lives: no stale or reused pid is believed, no process is looked up by name.
"""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Protocol

from gmhealth.embedded.files import lock_file, make_private, taken_alone
from gmhealth.errors import Unavailable, Unusable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

PATIENCE = 30.0  # seconds for a start or a stop, crash recovery included
POLL = 0.005  # seconds
LOG_TAIL = 15  # lines


class Server(Protocol):
    """One of the two servers, whether it runs or not."""

    @property
    def title(self) -> str: ...

    @property
    def directory(self) -> Path:
        """Its own directory: the lock, the log and the data."""

    def create(self, lock: int) -> None:
        """Makes its data ready for a start; no process of it lives. Programs that it runs inherit the lock."""

    def command(self) -> Sequence[str]: ...

    def ready(self) -> bool:
        """Tells whether it serves requests by now."""

    def request_stop(self) -> bool:
        """Asks it to end with its data safe; False when it cannot be asked now."""


def start_together(*servers: Server) -> bool:
    """Starts those that don't run and waits until all serve requests; True when one had to be started.

    Raises Unusable when one ends instead, Unavailable when one neither answers nor ends.
    """
    spawned = [_start_if_dead(server) for server in servers]
    started = [_wait_until_ready(server, started=done) for server, done in zip(servers, spawned, strict=True)]
    return any(started)


def stop_together(*servers: Server) -> None:
    """Ends those that run and waits until nothing of them lives; raises Unavailable when one does not end."""
    with ExitStack() as stack:  # one that fails keeps nobody from the next
        for server in servers:
            stack.callback(_stop, server)


def environment() -> dict[str, str]:
    """Gives a server's environment, without what would configure it behind our back (PGPORT, NOTIFY_SOCKET)."""
    kept = ("PATH", "HOME", "LD_LIBRARY_PATH")
    return {name: os.environ[name] for name in kept if name in os.environ} | {"LC_ALL": "C", "TZ": "UTC"}


def _wait_until_ready(server: Server, *, started: bool) -> bool:
    deadline = time.monotonic() + PATIENCE
    while not server.ready():
        if not _lives(server):
            if started:
                raise Unusable(f"{server.title} does not start; {_end_of_log(server)}")
            # What lived a moment ago were the last processes of a server that had been killed.
            started = _start_if_dead(server)
        _sleep_until(deadline, f"{server.title} in {server.directory} does not answer", server)
    return started


def _stop(server: Server) -> None:
    deadline = time.monotonic() + PATIENCE
    asked = False
    while _lives(server):
        asked = asked or server.request_stop()
        _sleep_until(deadline, f"{server.title} in {server.directory} does not stop", server)


def _sleep_until(deadline: float, complaint: str, server: Server) -> None:
    if time.monotonic() > deadline:
        raise Unavailable(
            f"{complaint} after {PATIENCE:.0f} seconds; {_end_of_log(server)}",
            hint="if its process is stuck, end it; the next start recovers the data",
        )
    time.sleep(POLL)


def _lives(server: Server) -> bool:
    if not server.directory.exists():  # it never got as far as a start
        return False
    with _lock_if_dead(server) as lock:
        return lock is None


def _start_if_dead(server: Server) -> bool:
    make_private(server.directory)
    with _lock_if_dead(server) as lock:
        if lock is None:
            return False
        server.create(lock)
        _spawn(server, lock)
        return True


@contextmanager
def _lock_if_dead(server: Server) -> Iterator[int | None]:
    with lock_file(server.directory / "server.lock") as lock:
        yield lock if taken_alone(lock) else None


def _spawn(server: Server, lock: int) -> None:
    log = _log(server)
    if log.exists():
        log.replace(log.with_name("previous.log"))
    with log.open("ab") as output:
        subprocess.run(  # noqa: S603 - the program of a wheel of ours
            # The shell ends at once: who starts a server is not its parent and may end before or after it.
            ["/bin/sh", "-c", '"$@" &', "sh", *server.command()],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment(),
            pass_fds=(lock,),
            start_new_session=True,  # a Ctrl-C in the terminal is meant for the command, not for its servers
            check=True,
        )


def _log(server: Server) -> Path:
    return server.directory / "server.log"


def _end_of_log(server: Server) -> str:
    log = _log(server)
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    return "\n  ".join([f"the end of its log, {log}:", *(lines[-LOG_TAIL:] or ["(nothing)"])])
