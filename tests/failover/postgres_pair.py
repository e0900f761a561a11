"""A PostgreSQL primary and its streaming replica, of the embedded wheel: to fail over from one to the other."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from gmhealth.embedded import postgres
from gmhealth.embedded.files import make_private
from gmhealth.embedded.postgres import Postgres, _unprivileged
from gmhealth.embedded.server import environment, start_together, stop_together
from tests.eventually import eventually

OPTIONS = {"fsync": "off", "wal_receiver_status_interval": "1"}


@dataclass(frozen=True)
class Pair:
    """`dsn` names both, and means the one that can be written to."""

    dsn: str
    primary: Postgres
    replica: Postgres

    def wait_for_replica(self) -> None:
        """Wait until the replica has everything."""
        (end,) = _ask(self.primary, "SELECT pg_current_wal_lsn()")
        eventually(lambda: _ask(self.replica, f"SELECT pg_last_wal_replay_lsn() >= '{end}'")[0])

    def cut_replica(self) -> None:
        """Let nothing reach the replica any more."""
        with psycopg.connect(self.replica.dsn, autocommit=True) as admin:
            admin.execute("ALTER SYSTEM SET primary_conninfo = ''")
            admin.execute("SELECT pg_reload_conf()")
        eventually(lambda: _ask(self.replica, "SELECT count(*) = 0 FROM pg_stat_wal_receiver")[0])

    def fail_over(self) -> None:
        """Kill the primary, and promote the replica."""
        pid = int((self.primary.directory / "data" / "postmaster.pid").read_text().splitlines()[0])
        os.kill(pid, signal.SIGKILL)
        assert _ask(self.replica, "SELECT pg_promote()") == (True,)


@contextmanager
def postgres_pair(directory: Path) -> Iterator[Pair]:
    """Start both; `directory` has a short path, as sockets' names are bounded."""
    primary, replica = (_server(directory / name) for name in ("a", "b"))
    with ExitStack() as stack:
        stack.callback(stop_together, primary)
        _create(primary)
        start_together(primary)
        primary.provide_database()
        with psycopg.connect(primary.dsn) as connection:
            connection.execute("TRUNCATE runtime_records")
        _copy(primary, replica)
        stack.callback(stop_together, replica)
        start_together(replica)
        yield Pair(_either(primary, replica), primary, replica)


def _server(directory: Path) -> Postgres:
    directory.mkdir()
    sockets = directory / "s"
    make_private(sockets)
    return Postgres(directory / "postgres", sockets, OPTIONS)


def _create(primary: Postgres) -> None:
    """Make the cluster without what an older initdb does not know."""
    make_private(primary.directory)
    data = ["-D", str(primary.directory / "data"), "-U", "gmhealth", "--auth=trust", "--no-sync", "--locale=C"]
    _run("initdb", *data, "--encoding=UTF8")


def _copy(primary: Postgres, replica: Postgres) -> None:
    make_private(replica.directory)
    target = ["--host", str(primary.sockets), "--username", "gmhealth", "--pgdata", str(replica.directory / "data")]
    how = ["--write-recovery-conf", "--checkpoint=fast", "--no-sync"]
    _run("pg_basebackup", *target, *how)


def _run(program: str, *arguments: str) -> None:
    line = [*_unprivileged(), postgres._program(program), *arguments]
    subprocess.run(line, env=environment(), check=True, stdout=subprocess.DEVNULL)


def _either(*servers: Postgres) -> str:
    hosts = ",".join(str(server.sockets) for server in servers)
    given = {**conninfo_to_dict(servers[0].dsn), "host": hosts, "port": ",".join(["5432"] * len(servers))}
    return make_conninfo("", **given)


def _ask(server: Postgres, question: str) -> tuple[object, ...]:
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        return connection.execute(question.encode()).fetchone() or ()
