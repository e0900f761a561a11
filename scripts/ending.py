"""Ending in order: what was started is stopped, and what was found is printed."""

from __future__ import annotations

import signal


def end_in_order() -> None:
    """Have every request to end raise `KeyboardInterrupt`: Ctrl-C, which a shell in the background ignores, and others.

    Embedded servers outlive whoever was killed, and in a directory that was made for this run nobody would find them.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
