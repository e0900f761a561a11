"""One subject under trial: kept up as systemd would, sent waves of events, and judged by the snapshots it sent."""

from __future__ import annotations

import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from scripts.benchmark.failures.subjects import Subject
from scripts.benchmark.roster import environment
from scripts.benchmark.site import Site
from scripts.benchmark.task import HEALTH_STREAM
from scripts.benchmark.workload import FIRST_MS, Event, game_name
from scripts.oracle import SUMMARIES

GAMES: Final = 100
PROBED: Final = GAMES
"""The game whose events only ask whether the subject is up; it is not judged."""
KINDS: Final = ("probe_failed", "container_exited", "inspect_unhealthy", "probe_recovered")
"""One after the other for each game: every event changes the summary, so every event calls for one snapshot."""

RESTARTS: Final = 3
"""So often in a row is it started again, after which systemd would give up, too."""
RESTART_AFTER_S: Final = 0.2
START_S: Final = 15.0
QUIET_S: Final = 7.0
"""Nothing new for so long: nothing will come. FastStream waits 5 seconds after a lost connection."""
POLL_S: Final = 0.02
PATIENCE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a subject did; `fine`: nothing was lost, and it is at work."""

    text: str
    fine: bool

    def but(self, text: str, *, keep: bool = False) -> Verdict:
        """Add something, which is not fine unless the verdict is kept."""
        return Verdict(f"{self.text}; {text}", fine=self.fine and keep)


@dataclass(slots=True)
class Trial:
    """A subject on a site of its own."""

    subject: Subject
    site: Site
    exits: list[int] = field(default_factory=list)
    expected: dict[int, str] = field(default_factory=dict)
    waves: int = 0
    _probes: int = 0
    _restarts: int = 0
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the subject."""
        self._process = subprocess.Popen(
            self.subject.line(self.site),
            env=environment() | dict(self.subject.settings(self.site)),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    @property
    def runs(self) -> bool:
        """Whether it runs, after a restart if it ended in failure: what systemd's Restart=on-failure does."""
        if self._process is None:
            return False
        code = self._process.poll()
        if code is None:
            return True
        self.exits.append(code)
        self._process = None
        self._restarts += 1
        if code == 0 or self._restarts > RESTARTS:
            return False
        time.sleep(RESTART_AFTER_S)
        self.start()
        return True

    def kill(self) -> None:
        """End it without a warning."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """Ask it to end."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(START_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def up(self) -> bool:
        """Wait until it answers an event; False if it does not."""
        before = self._answers()
        deadline = time.monotonic() + START_S
        while self.runs and time.monotonic() < deadline:
            self._probes += 1
            self._append(Event(game_name(PROBED), KINDS[self._probes % len(KINDS)], FIRST_MS - self._probes, "probe"))
            time.sleep(0.1)
            if self._answers() > before:
                time.sleep(0.5)  # until the probes that it had not seen are answered as well
                self._restarts = 0
                return True
        return False

    def _answers(self) -> int:
        return sum(fields[3] == game_name(PROBED).encode() for fields in self.site.sent())

    def wave(self) -> list[Event]:
        """Make one event per game, each with a time of its own."""
        self.waves += 1
        first = FIRST_MS + self.waves * 10_000
        kind = KINDS[self.waves % len(KINDS)]
        return [Event(game_name(game), kind, first + game, "e993cc011cdd") for game in range(GAMES)]

    def send(self, events: list[Event], *, ids: Callable[[int], str] = lambda _at: "*") -> None:
        """Append events all at once, and expect a snapshot of each."""
        pipeline = self.site.redis.pipeline(transaction=False)
        for at, event in enumerate(events):
            pipeline.execute_command("XADD", HEALTH_STREAM, ids(at), *event.fields())
            self.expected[event.occurred_at_ms] = SUMMARIES[event.event_type]
        pipeline.execute()

    def send_and_wait(self, at: int) -> None:
        """Send a wave and return as soon as PostgreSQL shows the effect of its event number `at`."""
        wave = self.wave()
        self.send(wave)
        query = "SELECT FROM runtime_records WHERE game_id = %s AND engine_health = %s"
        effect = (wave[at].game_id, SUMMARIES[wave[at].event_type])
        deadline = time.monotonic() + PATIENCE_S
        while not self.site.postgres.execute(query, effect).fetchall() and time.monotonic() < deadline:
            time.sleep(0.0005)

    def _append(self, event: Event) -> None:
        self.site.redis.execute_command("XADD", HEALTH_STREAM, "*", *event.fields())

    def seen(self) -> Counter[int]:
        """Count the snapshots of each event of the waves, by its time."""
        return Counter(time_ms for fields in self.site.sent() if (time_ms := int(fields[13])) > FIRST_MS)

    def settle(self) -> Counter[int]:
        """Wait until every expected snapshot is there, or nothing new has come for a while."""
        seen, since = self.seen(), time.monotonic()
        while len(seen) < len(self.expected) and time.monotonic() - since < QUIET_S:
            _ = self.runs
            time.sleep(POLL_S)
            length = seen.total()
            seen = self.seen()
            if seen.total() > length:
                since = time.monotonic()
        return seen

    def verdict(self) -> Verdict:
        """Say what became of the events: lost, doubled, wrong rows, and how the subject ended."""
        seen = self.settle()
        alive = self.runs
        lost = len(self.expected.keys() - seen.keys())
        doubled = sum(count - 1 for count in seen.values())
        found = [f"lost {lost} of {len(self.expected)}" if lost else "lost none"]
        found += [f"sent {doubled} twice"] if doubled else []
        wrong = self._wrong_rows()
        found += [f"{wrong} rows wrong"] if wrong else []
        if self.exits:
            times = f", {len(self.exits)} times" if len(self.exits) > 1 else ""
            found.append(f"exit {self.exits[-1]}{times}" + ("" if alive else ", and is down"))
        return Verdict("; ".join(found), fine=alive and not (lost or wrong))

    def _wrong_rows(self) -> int:
        last: dict[str, str] = {}
        for time_ms, summary in sorted(self.expected.items()):
            last[game_name(time_ms % 10_000)] = summary
        rows = self.site.postgres.execute("SELECT game_id, engine_health FROM runtime_records")
        return sum(last.get(game_id, health) != health for game_id, health in rows)


@contextmanager
def trial(subject: Subject, site: Site) -> Iterator[Trial]:
    """Begin with an empty stream and fresh rows; end the subject at the end, whatever happened."""
    site.redis.flushdb()
    site.reset()
    subject_on_trial = Trial(subject, site)
    try:
        yield subject_on_trial
    finally:
        subject_on_trial.kill()
