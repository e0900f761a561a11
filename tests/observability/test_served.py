"""The metrics of a real daemon."""

from __future__ import annotations

import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families

from tests import incident
from tests.daemon import environment, run, started
from tests.eventually import eventually


@pytest.fixture
def environ(redis_url: str, postgres_dsn: str) -> dict[str, str]:
    return {"GMHEALTH_REDIS_URL": redis_url, "GMHEALTH_POSTGRES_DSN": postgres_dsn, "GMHEALTH_LOG_FORMAT": "console"}


@pytest.fixture
def url(environ: dict[str, str], tmp_path: Path) -> Iterator[str]:
    log = tmp_path / "log"
    with started(["consume", "--metrics-addr", "0"], environ, log):
        found = eventually(lambda: re.search(r"serving metrics  url=(\S+)", log.read_text(encoding="utf-8")))
        assert found
        yield found[1]


def _samples(url: str) -> dict[str, float]:
    page = urllib.request.urlopen(url).read().decode()
    return {
        sample.name + "".join(f" {value}" for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def test_a_daemon_counts_what_it_did(url: str, redis_client: redis.Redis, pg: psycopg.Connection) -> None:
    assert url.startswith("http://127.0.0.1:")
    incident.record(redis_client, pg)
    entries = redis_client.xlen(incident.STREAM)
    eventually(lambda: _samples(url)["gmhealth_entries_total"] == entries)
    letters = redis_client.xlen("gamemaster:dead_letters:health_events")
    # What is counted last: a look may fall into a batch.
    eventually(lambda: _samples(url)["gmhealth_event_delay_seconds_count"] == entries - letters)
    page = _samples(url)
    assert page["gmhealth_snapshots_total sent"] == redis_client.xlen("gm:lobby_events")
    events = sum(value for name, value in page.items() if name.startswith("gmhealth_events_total "))
    invalid = sum(value for name, value in page.items() if name.startswith("gmhealth_dead_letters_total "))
    assert (events, invalid) == (entries - letters, letters)
    assert page["gmhealth_role active"] == 1
    # The lag is looked up once a second at most: an earlier scrape's may still be shown.
    eventually(lambda: _samples(url)["gmhealth_lag_entries"] == 0)
    assert _samples(url)["gmhealth_state ok"] == 1
    for probe in ("healthz", "readyz"):
        assert urllib.request.urlopen(url.replace("metrics", probe)).status == 200


def test_a_scrape_is_a_client_of_its_own_and_gone_after_it(url: str, redis_client: redis.Redis) -> None:
    eventually(lambda: _samples(url)["gmhealth_stream_up"] == 1)
    database = str(redis_client.client_info()["db"])

    def roles() -> list[str]:
        names = [each["name"] for each in redis_client.client_list() if each["db"] == database]
        return sorted(name.split("-")[1] for name in names if name.startswith("gmhealth-"))

    with ThreadPoolExecutor(1) as threads:

        def met() -> bool:
            scrape = threads.submit(_samples, url)
            found = [roles()]
            while not scrape.done():
                found.append(roles())
            return ["consume", "metrics"] in found

        eventually(met)
    eventually(lambda: roles() == ["consume"])


def test_a_port_that_is_taken_ends_the_command(url: str, environ: dict[str, str]) -> None:
    address = url.removeprefix("http://").removesuffix("/metrics")
    done = run(["consume", "--once", "--metrics-addr", address], environ)
    assert done.returncode == 1
    assert f"metrics cannot be served on {address}" in done.stderr


LOADED = """
import sys
from gmhealth.cli import app
app(sys.argv[1:], standalone_mode=False)
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


@pytest.mark.parametrize(("asked", "loaded"), [([], False), (["--metrics-addr", "0"], True)])
def test_who_does_not_ask_for_metrics_does_not_wait_for_them(
    asked: list[str], loaded: bool, environ: dict[str, str]
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED, "consume", "--once", *asked],
        env=environment(environ),
        capture_output=True,
        text=True,
        check=True,
    )
    modules = done.stdout.split()
    assert ("prometheus_client" in modules) is loaded
    assert "redis" in modules
