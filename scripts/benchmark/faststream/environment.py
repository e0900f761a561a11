"""FastStream's own environment: its command line needs another Typer than gmhealth does. Made on first use."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

from scripts.benchmark.roster import ROOT

REQUIREMENTS: Final = Path(__file__).with_name("requirements.txt")
ENVIRONMENT: Final = ROOT / ".venv-bench"
MADE_FROM: Final = ENVIRONMENT / "made-from"


class NotInstalled(Exception):
    """FastStream cannot be installed here."""


def is_made() -> bool:
    """Whether it is there already, and as it should be."""
    return MADE_FROM.exists() and MADE_FROM.read_text(encoding="utf-8") == _fingerprint()


def python() -> Path:
    """Give the Python that has FastStream; raises `NotInstalled`."""
    found = ENVIRONMENT / "bin" / "python"
    if not is_made():
        print(f"bench: installing FastStream into {ENVIRONMENT}, once", file=sys.stderr)
        MADE_FROM.unlink(missing_ok=True)
        _run(sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT))
        pip = [str(found), "-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet"]
        _run(*pip, "install", "--requirement", str(REQUIREMENTS))
        MADE_FROM.write_text(_fingerprint(), encoding="utf-8")
    return found


def _fingerprint() -> str:
    return f"{sys.version}\n{ENVIRONMENT}\n{REQUIREMENTS.read_text(encoding='utf-8')}"


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise NotInstalled(f"cannot be installed: {last}")
