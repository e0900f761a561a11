"""What the service manager hears of a start, a wait, a stall and a stop."""

from __future__ import annotations

import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest
import redis

from gmhealth.core.entry import EntryId
from gmhealth.core.pause import Pause
from gmhealth.observability import together
from gmhealth.observability.lag_watch import LagWatch, Unread
from gmhealth.observability.listener import listening
from gmhealth.observability.liveness import STALL_S, Liveness
from gmhealth.observability.metrics import Metrics
from gmhealth.observability.systemd import AnnouncedStop, Manager, Service
from gmhealth.worker.events import Active, Idle, Observer, Recovered, Standby, Waiting
from tests.daemon import started
from tests.games import add_game
from tests.systemd.manager import FakeManager, fake_manager

OFFSET = EntryId(1_795_449_364_420, 0)
LOCK = "SELECT pg_advisory_lock(hashtextextended('gamemaster:stream_offsets:health_events', 0))"


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[FakeManager]:
    with fake_manager(tmp_path) as found:
        yield found


class Clock:
    """Stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def credentials(tmp_path: Path, redis_url: str, postgres_dsn: str) -> Path:
    directory = tmp_path / "credentials"
    directory.mkdir()
    (directory / "redis_url").write_text(redis_url + "\n")
    (directory / "postgres_dsn").write_text(postgres_dsn + "\n")
    return directory


def test_a_start_and_a_stop(
    manager: FakeManager, credentials: Path, tmp_path: Path, redis_client: redis.Redis, pg: psycopg.Connection
) -> None:
    add_game(pg)
    environ = {"NOTIFY_SOCKET": str(manager.path), "CREDENTIALS_DIRECTORY": str(credentials)}
    with started(["consume"], environ, tmp_path / "log") as process:
        *before, ready = manager.until("READY", "1")
        assert not any("STOPPING" in state for state in before)
        assert ready["STATUS"] == "consuming; offset 0-0, lag 0.0 s, 0.0 entries/s"

        event = ["game_id", "game-a", "event_type", "probe_failed", "occurred_at_ms", "1"]
        last = redis_client.execute_command("XADD", "runtime:health_events", "*", *event).decode()
        done = manager.until("STATUS", f"offset {last}")[-1]
        assert done["WATCHDOG"] == "1"
        assert "READY" not in done

        process.send_signal(signal.SIGTERM)
        assert manager.until("STOPPING", "1")[-1]["STATUS"] == "stopping after the batch in flight"
        assert process.wait(30) == 0


def test_a_standby_is_ready_and_says_what_it_is(
    manager: FakeManager, credentials: Path, tmp_path: Path, pg: psycopg.Connection
) -> None:
    pg.execute(LOCK)
    environ = {"NOTIFY_SOCKET": str(manager.path), "CREDENTIALS_DIRECTORY": str(credentials)}
    with started(["consume"], environ, tmp_path / "log"):
        assert manager.until("READY", "1")[-1]["STATUS"] == "standing by: another gmhealth consumes"
        assert manager.until("WATCHDOG", "1"), "a standby's loop goes round, too"
        pg.execute(LOCK.replace("_lock", "_unlock"))
        manager.until("STATUS", "consuming")


def test_one_started_while_paused_is_ready_without_postgresql_and_goes_on_afterwards(
    manager: FakeManager, credentials: Path, tmp_path: Path, redis_client: redis.Redis, postgres_dsn: str
) -> None:
    redis_client.set("gamemaster:pause:health_events", Pause("anna@host", "a migration", None, "ab").pack())
    (credentials / "postgres_dsn").write_text(f"postgresql:///none?host={tmp_path}")
    environ = {"NOTIFY_SOCKET": str(manager.path), "CREDENTIALS_DIRECTORY": str(credentials)}
    with started(["consume"], environ, tmp_path / "log"):
        ready = manager.until("READY", "1")[-1]
        assert ready["STATUS"] == "paused by anna@host until an unknown time (a migration)"
        assert manager.until("WATCHDOG", "1")[-1]["STATUS"] == ready["STATUS"], "its loop goes round"
        redis_client.delete("gamemaster:pause:health_events")
        manager.until("STATUS", "waiting: PostgreSQL")


def test_a_standby_is_not_ready_while_redis_does_not_answer(
    manager: FakeManager, credentials: Path, tmp_path: Path, pg: psycopg.Connection
) -> None:
    pg.execute(LOCK)
    (credentials / "redis_url").write_text(f"unix://{tmp_path}/nobody.sock")
    environ = {"NOTIFY_SOCKET": str(manager.path), "CREDENTIALS_DIRECTORY": str(credentials)}
    with started(["consume"], environ, tmp_path / "log"):
        heard = [manager.next(), manager.next(), manager.next()]
    assert all(state["STATUS"].startswith("waiting: Redis") for state in heard)
    assert not any("READY" in state for state in heard)


def test_a_start_is_extended_for_as_long_as_a_server_does_not_answer(
    manager: FakeManager, credentials: Path, tmp_path: Path
) -> None:
    (credentials / "postgres_dsn").write_text(f"postgresql:///none?host={tmp_path}")
    environ = {"NOTIFY_SOCKET": str(manager.path), "CREDENTIALS_DIRECTORY": str(credentials)}
    with started(["consume"], environ, tmp_path / "log") as process:
        for state in (manager.next(), manager.next()):
            assert "READY" not in state
            assert state["EXTEND_TIMEOUT_USEC"] == "60000000"
            assert state["STATUS"].startswith("waiting: PostgreSQL")
        process.send_signal(signal.SIGTERM)
        manager.until("STOPPING", "1")
        assert process.wait(30) == 0


class Told(NamedTuple):
    """An observer that tells `manager`, and what it is made of."""

    observe: Observer
    liveness: Liveness
    manager: FakeManager
    clock: Clock


@pytest.fixture
def told(manager: FakeManager) -> Iterator[Told]:
    clock = Clock()
    liveness = Liveness(clock=clock)
    with closing(Manager({"NOTIFY_SOCKET": str(manager.path)})) as sender:
        yield Told(together(liveness, Service(sender, liveness, clock=clock)), liveness, manager, clock)


def test_a_loop_that_hangs_keeps_nobody_quiet_whoever_else_asks(told: Told) -> None:
    observe, liveness, manager, clock = told
    lag = LagWatch(lambda: Unread(OFFSET, 0, 0.0), lambda: liveness.ready)
    with listening("127.0.0.1:0", Metrics(lag).registry, liveness) as url:
        observe(Active(OFFSET))
        observe(Idle(OFFSET))
        assert manager.heard()[-1]["WATCHDOG"] == "1"

        clock.now += STALL_S + 1  # and no report
        urllib.request.urlopen(url).read()
        with pytest.raises(urllib.error.HTTPError, match="503"):
            urllib.request.urlopen(url.replace("metrics", "healthz"))
        assert manager.heard() == []

        observe(Idle(OFFSET))
        assert manager.heard()[-1]["WATCHDOG"] == "1"


def test_waiting_for_a_server_is_no_stall(told: Told) -> None:
    observe, liveness, manager, clock = told
    observe(Active(OFFSET))
    manager.heard()
    for attempt in range(3):
        clock.now += 5
        observe(Waiting("Redis could not read", 5.0, attempt))
        assert manager.heard() == [{"STATUS": "waiting: Redis could not read", "WATCHDOG": "1"}]
    assert liveness.moving
    observe(Recovered(3))
    assert manager.heard()[-1]["STATUS"].startswith("consuming")


def test_a_busy_loop_speaks_once_a_second(told: Told) -> None:
    observe, _, manager, clock = told
    observe(Active(OFFSET))
    for _ in range(100):
        clock.now += 0.1
        observe(Idle(OFFSET))
    assert len(manager.heard()) in (10, 11)


def test_a_ready_that_could_not_be_sent_is_sent_again(tmp_path: Path) -> None:
    liveness = Liveness()
    with closing(Manager({"NOTIFY_SOCKET": str(tmp_path / "notify")})) as sender:
        observe = together(liveness, Service(sender, liveness))
        observe(Standby("x"))
        with fake_manager(tmp_path) as late:
            observe(Idle(OFFSET))
            assert [state["READY"] for state in late.heard()] == ["1"]


def test_a_server_cannot_put_words_into_our_mouth(told: Told) -> None:
    told.observe(Waiting("no\nMAINPID=1\r\x1b[2J\N{SNOWMAN}\ud800", 1.0, 1))
    assert told.manager.heard()[0]["STATUS"] == "waiting: no MAINPID=1 [2J\N{SNOWMAN}?"


def test_an_abstract_socket_is_reached() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("")  # the system chooses an abstract address
        address = listener.getsockname().decode()
        with closing(Manager({"NOTIFY_SOCKET": "@" + address[1:]})) as sender:
            assert sender.send(READY=1)
        assert listener.recv(100) == b"READY=1"


def test_without_a_manager_nothing_is_sent() -> None:
    manager = Manager({})
    assert not manager.listens
    assert not manager.send(READY=1)


def test_a_stop_is_announced_once() -> None:
    class Asked:
        asked = False

        def is_set(self) -> bool:
            return self.asked

        def wait(self, timeout: float) -> bool:
            return self.asked

    told: list[str] = []
    asked = Asked()
    stop = AnnouncedStop(asked, lambda: told.append("stopping"))
    assert not stop.is_set()
    assert not stop.wait(0)
    assert told == []
    asked.asked = True
    assert stop.wait(0)
    assert stop.is_set()
    assert told == ["stopping"]
