"""A replay that is stopped half-way, by a person or by a server, says how to go on, and that completes it."""

from __future__ import annotations

import shlex
import signal
import subprocess
from pathlib import Path

import psycopg
import pytest
import redis

from tests import daemon, incident
from tests.cli.conftest import Run
from tests.cli.world import LOBBY, OFFSET, append, event, snapshots
from tests.eventually import eventually
from tests.games import add_game, games


def resume_command(text: str) -> list[str]:
    program, *words = shlex.split(text.partition("go on with: ")[2].splitlines()[0])
    assert program == "gmhealth"
    return words


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_ends_after_the_batch_in_hand_and_can_go_on(
    run: Run,
    environ: dict[str, str],
    redis_client: redis.Redis,
    pg: psycopg.Connection,
    tmp_path: Path,
    number: signal.Signals,
) -> None:
    incident.record(redis_client, pg)
    log = tmp_path / "replay.log"
    words = ["replay", "--from-id", "0-1", "--rate", "200", "--yes"]
    with daemon.started(words, environ, log) as process:
        eventually(lambda: redis_client.exists(LOBBY), within=30)
        process.send_signal(number)
        assert process.wait(30) == 130
    told = log.read_text()
    assert "interrupted; go on with: gmhealth replay --from-id " in told
    assert 0 < len(snapshots(redis_client)) < len(incident.expected()["snapshots"])
    resume = resume_command(told)
    assert resume[-3:] == ["--rate", "200", "--yes"]

    run(*resume[:-3], "--yes")

    assert {game_id: row._asdict() for game_id, row in games(pg).items()} == incident.expected()["rows"]
    assert redis_client.exists(OFFSET) == 0


@pytest.fixture
def broken(pg: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that runs out of disk space when the third of five games is written, and stays so."""
    monkeypatch.setenv("GMHEALTH_BATCH_SIZE", "1")
    monkeypatch.setattr("gmhealth.operations.replay.TRIES", 2)
    for number in range(1, 6):
        add_game(pg, f"game-{number}")
    pg.execute(
        """
        CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE 'could not extend file' USING ERRCODE = 'disk_full'; END $$;
        CREATE TRIGGER full_disk BEFORE UPDATE ON runtime_records
            FOR EACH ROW WHEN (NEW.game_id = 'game-3') EXECUTE FUNCTION full_disk();
        """
    )


@pytest.mark.usefixtures("broken")
def test_a_server_that_stays_away_ends_it_with_the_command_that_goes_on(
    run: Run, redis_client: redis.Redis, pg: psycopg.Connection
) -> None:
    ids = [append(redis_client, event(f"game-{number}", "container_oom")) for number in range(1, 6)]
    options = ["--game-id", "game-1", "--game-id", "game-2", "--game-id", "game-3", "--game-id", "game-5"]
    result = run("replay", "--from-id", ids[0], *options, "--yes", code=5)
    assert "could not extend file" in result.stderr
    assert "2 of 5 entries are done; go on with:" in result.stderr
    resume = resume_command(result.stderr)
    assert resume[:5] == [
        "replay",
        "--from-id",
        f"{ids[1].partition('-')[0]}-{int(ids[1].partition('-')[2]) + 1}",
        "--to-id",
        ids[4],
    ]
    assert resume[5:] == [*options, "--yes"]

    pg.execute("DROP TRIGGER full_disk ON runtime_records")
    run(*resume)

    assert {game_id for game_id, row in games(pg).items() if row.status == "running"} == {"game-4"}
    assert [game_id for game_id, *_ in snapshots(redis_client)] == ["game-1", "game-2", "game-3", "game-5"]


def test_a_game_id_in_the_command_that_goes_on_is_quoted(
    run: Run, environ: dict[str, str], redis_client: redis.Redis, pg: psycopg.Connection, broken: None
) -> None:
    odd = "$(touch /tmp/x) 'q' \x1b[31m"
    add_game(pg, odd)
    ids = [append(redis_client, event(game_id, "probe_failed")) for game_id in (odd, "game-3")]
    told = run("replay", "--from-id", ids[0], "-g", odd, "-g", "game-3", code=5).stderr
    command = told.partition("go on with: ")[2].splitlines()[0]
    assert "\x1b" not in told
    shown = subprocess.run(
        ["bash", "-c", f'gmhealth() {{ printf "%s\\0" "$@"; }}; {command}'], capture_output=True, check=True
    )
    assert odd in shown.stdout.decode().split("\0")


def test_interrupted_while_it_plans_it_has_written_nothing(
    run: Run, redis_client: redis.Redis, pg: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gmhealth.operations.dry_run import DryRun
    from tests.cli.world import dump

    add_game(pg)
    for _ in range(3):
        append(redis_client, event("game-a", "container_oom"))
    before = dump(redis_client, pg)
    counted = DryRun.__call__

    def interrupt(self: DryRun, report: object) -> None:
        before_batch = self.entries
        counted(self, report)  # type: ignore[arg-type]  # handed on as it came
        if before_batch == 0 and self.entries:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setenv("GMHEALTH_BATCH_SIZE", "1")
    monkeypatch.setattr(DryRun, "__call__", interrupt)
    run("replay", "--from-id", "0-1", "--yes", code=130)
    assert dump(redis_client, pg) == before
