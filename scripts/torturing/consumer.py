"""A consumer process: the real `gmhealth consume`, or the driver of a second one without the lock."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from scripts.torturing.proxy import Proxy
from scripts.torturing.site import PATIENCE_S, Stuck

ROOT: Final = Path(__file__).parents[2]
LAST_CHARACTERS: Final = 2000


class Unwanted(Exception):
    """A consumer ended, or ended otherwise than it should."""


def environment(package: Path, proxy: Proxy) -> dict[str, str]:
    """Give what a consumer finds: the servers through `proxy`, and the gmhealth of `package` before any other."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GMHEALTH_")}
    return kept | {
        "PYTHONPATH": os.pathsep.join(map(os.fspath, (package, ROOT))),
        "GMHEALTH_REDIS_URL": f"redis://127.0.0.1:{proxy.redis_port}/0",
        "GMHEALTH_POSTGRES_DSN": f"postgresql://gmhealth@127.0.0.1:{proxy.postgres_port}/gmhealth"
        "?sslmode=disable&gssencmode=disable",
    }


@dataclass(slots=True)
class Consumer:
    """A process that consumes, its log, and how to end it."""

    words: Sequence[str]
    environ: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = field(default=None)
    _read: int = 0
    _said: int = 0

    def start(self, *more: str) -> None:
        """Start it; it goes on after the saved offset."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-P", *self.words, *more],
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # a Ctrl-C is for the harness, which ends it then
            )

    @property
    def pid(self) -> int | None:
        """Its process ID, while it is meant to run."""
        return None if self.process is None else self.process.pid

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        if self.process is not None:
            self.process.send_signal(number)

    def ended(self) -> int | None:
        """Give the exit code of one that has ended by itself."""
        if self.process is not None and self.process.poll() is not None:
            process, self.process = self.process, None
            return process.returncode
        return None

    def check(self) -> None:
        """Raise `Unwanted` if it has ended by itself."""
        if (code := self.ended()) is not None:
            raise Unwanted(f"the consumer ended by itself, exit code {code}; its last words:\n{self.last_words()}")

    def end(self, number: signal.Signals, *, code: int | None = None) -> None:
        """End it by a signal, and wait; raises `Unwanted` unless it ends with `code`."""
        self.send(number)
        self.await_end(code=code)

    def await_end(self, *, code: int | None = None) -> None:
        """Wait until a signal has ended it."""
        process, self.process = self.process, None
        if process is None:
            return
        try:
            found = process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise Stuck(f"the consumer does not end; its last words:\n{self.last_words()}") from None
        if code is not None and found != code:
            raise Unwanted(f"the consumer ended with {found} and not {code}; its last words:\n{self.last_words()}")

    def said(self) -> int:
        """Give how many lines it has logged so far, about anything but dead letters."""
        if self.log.exists():
            with self.log.open("rb") as file:
                file.seek(self._read)
                lines = file.read().splitlines(keepends=True)
            self._read += sum(map(len, lines))
            self._said += sum(b"dead letters" not in line for line in lines)
        return self._said

    def last_words(self) -> str:
        """Give the end of its log."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-LAST_CHARACTERS:] if self.log.exists() else ""

    def kill(self) -> None:
        """Make sure that nothing is left of it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
