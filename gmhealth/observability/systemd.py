"""What the service manager is told, over its notify socket (sd_notify(3)).

Thirty lines instead of `systemd-watchdog` from PyPI, which is kept, but measures by the wall clock (set back, it
stops the pings), raises where the socket is gone or full, and knows neither STOPPING nor EXTEND_TIMEOUT_USEC.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from time import monotonic
from typing import Final

from gmhealth.observability.liveness import STALL_S, Liveness
from gmhealth.worker.events import BatchDone, Idle, Report
from gmhealth.worker.ports import Stop

EVERY_S: Final = 1.0
"""A busy loop says something a thousand times a second; the manager is told once."""
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]+")


class Manager:
    """The service manager; nothing is sent where there is none. Never raises, never blocks."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket: socket.socket | None = None
        if self._address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.settimeout(0)

    @property
    def listens(self) -> bool:
        """Whether there is one."""
        return self._socket is not None

    def send(self, **state: object) -> bool:
        """Send assignments such as `READY=1`; whether they were. A value cannot add one: it is made one line."""
        if self._socket is None:
            return False
        lines = [f"{name}={_CONTROL.sub(' ', str(value))}" for name, value in state.items()]
        with suppress(OSError):
            return bool(self._socket.sendto("\n".join(lines).encode("utf-8", "replace"), self._address))
        return False

    def close(self) -> None:
        """Give the socket back."""
        if self._socket is not None:
            self._socket.close()


class Service:
    """Tells `manager` what `liveness` took note of: only the working loop itself can keep the watchdog quiet.

    READY when `liveness` is ready; until then every report extends the start by `STALL_S`, so that a start waits for a
    server as long as it takes, and one that hangs is ended. WATCHDOG with every report, at most once a second.
    """

    def __init__(self, manager: Manager, liveness: Liveness, *, clock: Callable[[], float] = monotonic) -> None:
        self._manager, self._liveness, self._clock = manager, liveness, clock
        self._told_ready = False
        self._told_at: float | None = None
        self._stopping = False

    def __call__(self, report: Report) -> None:
        """Pass on what `liveness`, which must have seen `report` before, makes of it."""
        now = self._clock()
        routine = isinstance(report, BatchDone | Idle) and self._told_ready
        if routine and self._told_at is not None and now - self._told_at < EVERY_S:
            return
        self._told_at = now
        state: dict[str, object] = {"STATUS": self._line(), "WATCHDOG": 1}
        if self._told_ready:
            self._manager.send(**state)
        elif self._liveness.ready:
            self._told_ready = self._manager.send(READY=1, **state)
        else:
            self._manager.send(**state, EXTEND_TIMEOUT_USEC=round(STALL_S * 1_000_000))

    def stopping(self) -> None:
        """Say that the end was asked for."""
        self._stopping = True
        self._manager.send(STOPPING=1, STATUS=self._line())

    def _line(self) -> str:
        return "stopping after the batch in flight" if self._stopping else self._liveness.line()


class AnnouncedStop:
    """A request to stop that is announced when the working loop first meets it."""

    def __init__(self, stop: Stop, announce: Callable[[], None]) -> None:
        self._stop, self._announce, self._announced = stop, announce, False

    def is_set(self) -> bool:
        """Whether stopping was asked for."""
        return self._met(asked=self._stop.is_set())

    def wait(self, timeout: float) -> bool:
        """Wait for the request, at most `timeout` seconds; whether it came."""
        return self._met(asked=self._stop.wait(timeout))

    def _met(self, *, asked: bool) -> bool:
        if asked and not self._announced:
            self._announced = True
            self._announce()
        return asked
