"""A real Valkey and a real PostgreSQL in a state directory, for development and tests.

The first command that asks for them starts both, the next ones attach, the last one to leave stops them; the
data stays. Three kinds of lock files make that hold through any crash, as the system frees a dead process's locks:

    start.lock              held while servers are started or stopped: one decision at a time
    users.lock              shared by every command that uses the servers: who can have it alone is the last
    <server>/server.lock    held by the server's own processes: free means that none of them lives
"""

from __future__ import annotations

import fcntl
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from gmhealth.embedded import server
from gmhealth.embedded.files import held_alone, lock_file, make_private, socket_directory, taken_alone
from gmhealth.embedded.postgres import Postgres, prepare
from gmhealth.embedded.valkey import Valkey
from gmhealth.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["EmbeddedServers", "default_directory", "embedded_servers", "prepare"]

_NO_OPTIONS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class EmbeddedServers:
    """Where the two servers are reached, for as long as the context that gave it is open."""

    redis_url: str  # unix:// with a percent-encoded path
    postgres_dsn: str  # a libpq URI
    directory: Path
    started: bool  # False: attached to servers that were running already
    redis_version: str  # "Valkey 9.1.2"
    postgres_version: str  # "PostgreSQL 18.1"


def default_directory(environ: Mapping[str, str]) -> Path:
    """Says where the servers' state is kept: GMHEALTH_EMBEDDED_DIR, else below the user's XDG state directory."""
    if chosen := environ.get("GMHEALTH_EMBEDDED_DIR"):
        return Path(chosen).expanduser().absolute()
    state = Path(environ.get("XDG_STATE_HOME", ""))
    if not state.is_absolute():  # the XDG specification wants a relative one ignored
        state = Path(environ.get("HOME") or Path.home()) / ".local" / "state"
    return state / "gmhealth" / "embedded"


@contextmanager
def embedded_servers(
    directory: Path,
    *,
    redis_options: Mapping[str, str] = _NO_OPTIONS,
    postgres_options: Mapping[str, str] = _NO_OPTIONS,
) -> Iterator[EmbeddedServers]:
    """Starts both servers in the directory, or attaches to those that run there; the last user stops them.

    The options are configuration parameters of Valkey and PostgreSQL; servers that run already keep theirs.
    A process that is killed leaves its servers running: the next user attaches to them and stops them.
    Raises ConfigError for missing wheels or a directory that cannot be used, Unusable for a server that does
    not start (the end of its log is in the message), Unavailable for one that neither answers nor ends.
    """
    directory = directory.expanduser().absolute()
    with _lock_files(directory) as (start_lock, users_lock):
        sockets = socket_directory(directory)
        valkey = Valkey(directory / "valkey", sockets, redis_options)
        postgres = Postgres(directory / "postgres", sockets, postgres_options)
        with held_alone(start_lock):
            servers = _enter(users_lock, directory, valkey, postgres)
        try:
            yield servers
        finally:
            with held_alone(start_lock):
                _leave(users_lock, valkey, postgres)


def _enter(users_lock: int, directory: Path, valkey: Valkey, postgres: Postgres) -> EmbeddedServers:
    fcntl.flock(users_lock, fcntl.LOCK_SH)
    try:
        with _file_errors_named(directory):
            return _start(directory, valkey, postgres)
    except BaseException:
        _leave(users_lock, valkey, postgres)
        raise


def _leave(users_lock: int, valkey: Valkey, postgres: Postgres) -> None:
    if not taken_alone(users_lock):
        fcntl.flock(users_lock, fcntl.LOCK_UN)
        return
    server.stop_together(valkey, postgres)
    with suppress(OSError):
        valkey.sockets.rmdir()  # it may be in /tmp


def _start(directory: Path, valkey: Valkey, postgres: Postgres) -> EmbeddedServers:
    make_private(valkey.sockets)
    started = server.start_together(valkey, postgres)
    postgres.provide_database()
    return EmbeddedServers(
        redis_url=valkey.url,
        postgres_dsn=postgres.dsn,
        directory=directory,
        started=started,
        redis_version=valkey.version(),
        postgres_version=postgres.version(),
    )


@contextmanager
def _lock_files(directory: Path) -> Iterator[tuple[int, int]]:
    with ExitStack() as stack:
        with _file_errors_named(directory):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            start = stack.enter_context(lock_file(directory / "start.lock"))
            users = stack.enter_context(lock_file(directory / "users.lock"))
        yield start, users


@contextmanager
def _file_errors_named(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"the embedded servers cannot use {directory}: {error}",
            hint="set GMHEALTH_EMBEDDED_DIR to a directory of your own on a local disk",
        ) from error
