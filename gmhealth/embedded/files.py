"""Lock files, private directories and the place of the servers' Unix sockets."""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from gmhealth.errors import Unusable

if TYPE_CHECKING:
    from collections.abc import Iterator

POSTGRES_SOCKET = ".s.PGSQL.5432"  # the longest name of a socket; the name and its number are PostgreSQL's
LONGEST_SOCKET_PATH = 100  # bytes; Linux takes 107, macOS 103


@contextmanager
def lock_file(path: Path) -> Iterator[int]:
    """Opens a lock file, making it if need be, and gives its descriptor; whatever lock it holds ends with it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def held_alone(lock: int) -> Iterator[None]:
    """Waits for the lock and holds it."""
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(lock, fcntl.LOCK_UN)


def taken_alone(lock: int) -> bool:
    """Takes the lock if nobody else has it; says whether it did."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def make_private(directory: Path) -> None:
    """Makes the directory, or takes the one that is there, for its owner only; raises Unusable if that isn't us."""
    directory.mkdir(mode=0o700, exist_ok=True)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise Unusable(
            f"the embedded servers cannot use {directory}: it belongs to another user",
            hint="run gmhealth as that user, or set GMHEALTH_EMBEDDED_DIR to a directory of your own",
        )
    directory.chmod(0o700)


def socket_directory(state: Path) -> Path:
    """Says where the sockets go: below the state directory if their paths suit, else a short directory in /tmp."""
    sockets = state / "sockets"
    longest = os.fsencode(sockets / POSTGRES_SOCKET)
    if len(longest) <= LONGEST_SOCKET_PATH and b"," not in longest:  # libpq takes a comma for a second host
        return sockets
    name = hashlib.sha256(os.fsencode(state.resolve())).hexdigest()[:12]
    # Not TMPDIR: all commands of one user have to find the same sockets.
    return Path(f"/tmp/gmhealth-{os.geteuid()}-{name}")  # noqa: S108 - make_private checks whose it is
