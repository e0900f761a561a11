"""`python -m gmhealth` and the console script."""

from __future__ import annotations

from gmhealth.cli import app


def main() -> None:
    """Run the command line."""
    app(prog_name="gmhealth")


if __name__ == "__main__":
    main()
