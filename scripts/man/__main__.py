"""`scripts/man-pages [--check] [COMMAND...]`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from scripts.man.pages import pages

ROOT = Path(__file__).parents[2]


def place(name: str) -> Path:
    """Where a page is: `man -M man gmhealth` finds it there."""
    return ROOT / "man" / f"man{name[-1]}" / name


def wanted() -> dict[Path, str]:
    """What each generated file must hold."""
    return {place(name): page for name, page in pages().items()}


def stale(files: Mapping[Path, str]) -> list[Path]:
    """Files that hold something else, are missing, or belong to a command that is gone."""
    there = set((ROOT / "man").glob("*/*.[0-9]"))
    differ = {path for path, text in files.items() if not path.exists() or path.read_text(encoding="utf-8") != text}
    return sorted(differ | (there - files.keys()))


def main() -> int:
    """Write what is stale, or with `--check` only name it."""
    parser = argparse.ArgumentParser(prog="scripts/man-pages", description="Write man/.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if something is stale")
    check = parser.parse_args().check
    files = wanted()
    found = stale(files)
    for path in found:
        print(f"{'stale' if check else 'wrote' if path in files else 'removed'}: {path.relative_to(ROOT)}")
        if not check:
            _write(path, files.get(path))
    return int(check and bool(found))


def _write(path: Path, text: str | None) -> None:
    if text is None:
        path.unlink()
    else:
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
