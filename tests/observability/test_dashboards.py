"""Dashboard and alert rules ask for metrics and labels that there are."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gmhealth.core.entry import EntryId
from gmhealth.observability.lag_watch import LagWatch, Unread
from gmhealth.observability.metrics import Metrics

SCRIPTS = Path(__file__).parents[2] / "scripts"
RULES = SCRIPTS / "alerts" / "gmhealth.rules.yml"
DASHBOARD = SCRIPTS / "grafana" / "gmhealth.json"
FAMILIES = [
    family
    for family in Metrics(LagWatch(lambda: Unread(EntryId(1, 0), 0, 0.0), lambda: True)).registry.collect()
    if family.name.startswith("gmhealth_")
]
SERIES: dict[str, list[dict[str, str]]] = defaultdict(list)
"""The labels of each series, by the name of its samples."""
for _sample in (each for family in FAMILIES for each in family.samples):
    SERIES[_sample.name].append(_sample.labels)
ADDED_BY_PROMETHEUS = {"instance", "job"}


def _expressions() -> Iterator[str]:
    dashboard: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    rules = RULES.read_text(encoding="utf-8")
    yield from (" ".join(lines.split()) for lines in re.findall(r"(?m)^ {8}expr: (?:>-\n)?(.+(?:\n {10}.+)*)$", rules))


def _unknown(expression: str) -> list[str]:
    """What an expression asks for and nobody has: metrics, labels, or values of a label."""
    found, labels = [], ADDED_BY_PROMETHEUS
    for name, matchers in re.findall(r"\b(gmhealth_\w+)(?:\{([^}]*)\})?", expression):
        if name not in SERIES:
            found.append(name)
            continue
        labels = labels.union(*SERIES[name])
        for label, value in re.findall(r'(\w+)=~?"([^"]*)"', matchers):
            if label not in ADDED_BY_PROMETHEUS and value not in {each.get(label) for each in SERIES[name]}:
                found.append(f"{name} {label}={value}")
    for names in re.findall(r"\bby \(([^)]*)\)", expression):
        found += [name for name in names.split(", ") if name not in labels]
    return found


@pytest.mark.parametrize("expression", list(_expressions()))
def test_what_is_asked_for_is_there(expression: str) -> None:
    assert _unknown(expression) == []


@pytest.mark.parametrize(
    "expression",
    [
        "gmhealth_lag",
        "gmhealth_events",
        'gmhealth_events_total{kind="x"}',
        'gmhealth_role{role="leader"}',
        "sum by (game_id) (gmhealth_events_total)",
    ],
)
def test_what_is_not_there_would_be_found(expression: str) -> None:
    assert _unknown(expression)


def test_the_dashboard_shows_every_metric() -> None:
    shown = set(re.findall(r"gmhealth_\w+", DASHBOARD.read_text(encoding="utf-8")))
    missing = [each.name for each in FAMILIES if shown.isdisjoint(sample.name for sample in each.samples)]
    assert missing == ["gmhealth_stream_up"], "shown by an alert"


def test_every_alert_says_what_to_do() -> None:
    rules = RULES.read_text(encoding="utf-8")
    alerts = rules.count("- alert: ")
    assert alerts > 5
    assert rules.count("summary: ") == rules.count("action: ") == rules.count("severity: ") - 1 == alerts


needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="there is no promtool here")


@needs_promtool
def test_prometheus_takes_the_rules() -> None:
    done = subprocess.run(["promtool", "check", "rules", str(RULES)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
@pytest.mark.parametrize(
    ("samples", "firing"),
    [
        pytest.param("0x60", {}, id="nothing happened"),
        pytest.param("0x19 3x40", {20: True, 34: True, 40: False}, id="it happened"),
        pytest.param("0x5 stale _x20 3x40", {27: True, 41: True, 47: False}, id="at the start, after a long absence"),
        pytest.param("0x5 3x30 stale 3x40", {52: False}, id="long ago, and one scrape failed"),
    ],
)
@pytest.mark.parametrize(
    ("counter", "alert"),
    [
        ("gmhealth_entries_lost_total", "GmhealthEntriesLost"),
        ("gmhealth_stream_breaks_total", "GmhealthEntriesLost"),
        ("gmhealth_offset_restores_total", "GmhealthOffsetRestored"),
        ("gmhealth_dead_letters_total", "GmhealthDeadLetters"),
        ("gmhealth_dead_letters_dropped_total", "GmhealthDeadLettersDropped"),
    ],
)
def test_a_counter_fires_for_what_is_new(
    tmp_path: Path, counter: str, alert: str, samples: str, firing: dict[int, bool]
) -> None:
    """`samples` are a minute apart; `firing` says at which minutes the alert fires."""
    asked = f'count(ALERTS{{alertname="{alert}", alertstate="firing"}})'
    looks = [
        {"expr": asked, "eval_time": f"{minute}m", "exp_samples": [{"labels": "{}", "value": 1}] if fires else []}
        for minute, fires in ({59: False} | firing).items()
    ]
    series = [{"series": f'{counter}{{instance="a"}}', "values": samples}]
    case = {"interval": "1m", "input_series": series, "promql_expr_test": looks}
    tests = tmp_path / "tests.yml"
    tests.write_text(json.dumps({"rule_files": [str(RULES)], "tests": [case]}), encoding="utf-8")
    done = subprocess.run(["promtool", "test", "rules", str(tests)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
