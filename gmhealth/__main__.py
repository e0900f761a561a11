"""`python -m gmhealth` and the console script."""

from __future__ import annotations

import sys
from io import TextIOWrapper

from gmhealth.cli import app


def main() -> None:
    """Run the command line."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as standard error has it: no encoding ends a command
    app(prog_name="gmhealth")


if __name__ == "__main__":
    main()
