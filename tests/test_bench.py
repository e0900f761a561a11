"""`scripts/bench` and `scripts/failure-modes` at a size of seconds: they run, and a wrong result does not pass."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.benchmark import __main__ as bench
from scripts.benchmark import rounds, stages, throughput
from scripts.benchmark.failures.scenarios import SCENARIOS
from scripts.benchmark.failures.subjects import faststream, gmhealth, plain_loop
from scripts.benchmark.failures.trial import GAMES, trial
from scripts.benchmark.faststream.environment import NotInstalled, is_made, python
from scripts.benchmark.lines import Line, Skipped
from scripts.benchmark.report import table
from scripts.benchmark.roster import GMHEALTH, READ_ONLY, READ_RAW, Contestant, Failed, environment
from scripts.benchmark.rounds import Entrant
from scripts.benchmark.scale import Scale
from scripts.benchmark.site import Servers, Site, servers
from scripts.benchmark.task import HEALTH_STREAM, LOBBY_STREAM, OFFSET_KEY
from scripts.benchmark.throughput import FASTSTREAM, FASTSTREAM_BATCHED
from scripts.benchmark.verify import Differs, verify
from scripts.benchmark.workload import Workload

with_faststream = pytest.mark.skipif(not is_made(), reason="FastStream is not installed; `scripts/bench` does that")

TINY = Scale(
    entries=300,
    slow_entries=100,
    distant_entries=20,
    games=20,
    many_games=40,
    many_rows=60,
    few_entries=100,
    many_entries=200,
    rounds=1,
    probes=10,
    starts=1,
    idle_s=0.5,
)


@pytest.fixture(scope="module")
def running() -> Iterator[Servers]:
    with servers() as found:
        yield found


@pytest.fixture(scope="module")
def site(running: Servers) -> Iterator[Site]:
    with running.site(Workload(300, 20)) as found:
        yield found


def test_quick_mode_prints_a_table_and_writes_every_round(tmp_path: Path) -> None:
    found = tmp_path / "bench.json"
    sizes = ["--entries", "300", "--games", "20", "--rounds", "1", "--probes", "10"]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "scripts.benchmark", "--quick", *sizes, "--json", str(found)],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "fsync on, synchronous_commit on" in done.stdout
    lines = json.loads(found.read_text())["lines"]
    assert [line["contestant"] for line in lines if line["section"] == "drain"][:2] == [
        "gmhealth",
        "one-event-at-a-time loop",
    ]
    assert all(value > 0 for line in lines for value in line["rounds"])


def test_every_section_of_the_full_table_runs(running: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    def not_installed() -> Path:
        raise NotInstalled("no network")

    monkeypatch.setattr(throughput, "python", not_installed)
    lines = [line for section in bench.SECTIONS.values() for line in section(running, TINY)]
    assert Skipped("drain", "FastStream", "no network") in lines
    assert {line.section for line in lines if isinstance(line, Line)} >= {"drain", "growth", "peak memory", "idle"}
    assert len(table(lines).splitlines()) > len(lines)


def test_the_profile_accounts_for_all_of_the_time(running: Servers) -> None:
    (result,) = found = stages.profile(running, TINY, batch_size=100)
    per_entry = result.details["per_entry"]
    assert set(per_entry["wall"]) == set(stages.STAGES)
    assert all(seconds >= 0 for seconds in per_entry["wall"].values())
    worked = ("read", "decode", "reduce", "write", "fold", "publish")
    assert all(per_entry["wall"][stage] > 0 for stage in worked)
    assert sum(per_entry["wall"].values()) < result.seconds / TINY.entries
    assert set(per_entry["servers"]) == {"Redis", "PostgreSQL"}
    assert stages.table(found).splitlines()[-1].startswith("CPU per event: gmhealth ")


def _lose_a_snapshot(site: Site) -> None:
    ((last, _),) = site.redis.xrevrange(LOBBY_STREAM, count=1)
    site.redis.xdel(LOBBY_STREAM, last)


def _repeat_a_snapshot(site: Site) -> None:
    ((_, fields),) = site.redis.xrevrange(LOBBY_STREAM, count=1)
    site.redis.xadd(LOBBY_STREAM, fields)


def _overrule_a_status(site: Site) -> None:
    site.postgres.execute("UPDATE runtime_records SET status = 'finished' WHERE right(game_id, 2) = '01'")


def _lose_a_row(site: Site) -> None:
    site.postgres.execute("DELETE FROM runtime_records WHERE right(game_id, 2) = '01'")


def _leave_the_offset_behind(site: Site) -> None:
    ((first, _),) = site.redis.xrange(HEALTH_STREAM, count=1)
    site.redis.set(OFFSET_KEY, first)


@pytest.mark.parametrize(
    "tamper", [_lose_a_snapshot, _repeat_a_snapshot, _overrule_a_status, _lose_a_row, _leave_the_offset_behind]
)
def test_a_wrong_result_is_noticed(site: Site, tamper: Callable[[Site], None]) -> None:
    Entrant(GMHEALTH, site).play()
    tamper(site)
    with pytest.raises(Differs):
        verify(site, site.task())


def test_a_wrong_result_fails_the_bench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def wrong(*_: object, **__: object) -> None:
        raise Differs("snapshot 7 is another one")

    monkeypatch.setattr(rounds, "verify", wrong)
    arguments = ["--quick", "--only", "drain", "--entries", "300", "--games", "20", "--rounds", "1"]
    assert bench.main(arguments) == 1
    assert "snapshot 7 is another one" in capsys.readouterr().err


def test_an_interrupt_keeps_what_was_measured_before_it(
    running: Servers, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def sections(*_: object) -> Iterator[Line]:
        yield Line("drain", "gmhealth", "entries/s", (7.0,))
        raise KeyboardInterrupt

    @contextmanager
    def same() -> Iterator[Servers]:
        yield running

    monkeypatch.setattr(bench, "servers", same)
    monkeypatch.setattr(bench, "SECTIONS", {"drain": sections, "growth": sections})
    assert bench.main([]) == 1
    shown = capsys.readouterr()
    assert shown.out.count("| drain") == 1
    assert shown.err == "bench: drain: interrupted; the table has what was measured before it\n"


@pytest.mark.parametrize("contestant", [READ_ONLY, READ_RAW], ids=lambda contestant: contestant.title)
def test_a_reader_that_misses_entries_fails(running: Servers, contestant: Contestant) -> None:
    with running.site(Workload(50, 5)) as site:
        Entrant(contestant, site).play()
        ((first, _),) = site.redis.xrange(HEALTH_STREAM, count=1)
        site.redis.xdel(HEALTH_STREAM, first)
        with pytest.raises(Failed, match="read 49 entries of 50"):
            Entrant(contestant, site).play()


@with_faststream
@pytest.mark.parametrize("batch_size", [1, 1000])
def test_faststream_in_batches_does_what_it_has_to(site: Site, batch_size: int) -> None:
    Entrant(replace(FASTSTREAM_BATCHED, python=str(python())), site, batch_size).play()


@with_faststream
def test_faststream_per_message_does_what_it_has_to(site: Site) -> None:
    Entrant(replace(FASTSTREAM, python=str(python()), cap=100), site).play()


@with_faststream
def test_faststream_loses_what_was_pending_unless_it_reclaims(running: Servers) -> None:
    _, group, reclaiming = faststream()
    with running.site(Workload(0, GAMES + 1)) as site:
        verdicts = []
        for subject in (group, reclaiming):
            with trial(subject, site) as under_trial:
                verdicts.append(SCENARIOS["killed in the middle"](under_trial).text)
    assert verdicts[0].startswith("lost ")
    assert not verdicts[0].startswith("lost none")
    assert verdicts[1].startswith("lost none")


def test_failure_modes_tell_lost_events_from_none(running: Servers) -> None:
    with running.site(Workload(0, GAMES + 1)) as site:
        verdicts = {}
        for subject in (plain_loop(), gmhealth()):
            with trial(subject, site) as under_trial:
                verdicts[subject.title] = SCENARIOS["stream made anew, clock behind"](under_trial).text
    assert verdicts["one-event-at-a-time loop"].startswith(f"lost {GAMES} of {GAMES}")
    assert verdicts["gmhealth"] == "lost none"
