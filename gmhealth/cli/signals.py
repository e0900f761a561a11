"""Stopping on a signal: the first one asks, the second one ends."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class StopRequest:
    """A request to stop that a signal handler may make.

    Not a `threading.Event`: its lock is not reentrant, so setting it in a handler can wait for the very thread that
    the handler interrupted.
    """

    def __init__(self) -> None:
        self._set = False
        self._reader, self._writer = os.pipe()

    def set(self) -> None:
        """Ask to stop."""
        self._set = True
        os.write(self._writer, b"!")

    def is_set(self) -> bool:
        """Whether stopping was asked for."""
        return self._set

    def wait(self, timeout: float) -> bool:
        """Wait for the request, at most `timeout` seconds."""
        if not self._set:
            select.select([self._reader], [], [], timeout)
        return self._set

    def close(self) -> None:
        """Give the pipe back."""
        os.close(self._reader)
        os.close(self._writer)


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Have a signal ask to stop; the first one restores the default, so a second one ends at once.

    A SIGHUP that is ignored stays so: nohup had its reason.
    """
    stop = StopRequest()
    before = {number: signal.getsignal(number) for number in SIGNALS}
    if before[signal.SIGHUP] is signal.SIG_IGN:
        del before[signal.SIGHUP]

    def on_first(_number: int, _frame: Any) -> None:
        for each in before:
            signal.signal(each, signal.SIG_DFL)
        stop.set()

    for number in before:
        signal.signal(number, on_first)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        stop.close()
