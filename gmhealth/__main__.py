"""`python -m gmhealth` and the console script."""

from __future__ import annotations

import errno
import os
import signal
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import Final

from gmhealth.cli import app

FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What writing a result may fail with; an error of a file has its name."""


def main() -> None:
    """Run the command line."""
    _open_missing()
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        # As Ctrl-C: what is stopped half-way says how far it came, and leaves what it started.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as standard error has it: no encoding ends a command
    try:
        app(prog_name="gmhealth")
    except OSError as error:
        if error.errno not in FULL or error.filename is not None:
            raise
        print(f"gmhealth: the result could not be written: {error.strerror}", file=sys.stderr)  # noqa: T201
        print("  → make room, or send standard output elsewhere", file=sys.stderr)  # noqa: T201
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python tries once more as it ends
        sys.exit(1)


def _open_missing() -> None:
    """Have the standard streams that whoever started us closed lead nowhere; or a connection becomes one of them."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # It gets the lowest number that is free, which is the stream's own, and stays open.
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115


if __name__ == "__main__":
    main()
