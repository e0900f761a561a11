"""Dashboard and alert rules ask for metrics and labels that there are."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gmhealth.observability.metrics import METRICS

SCRIPTS = Path(__file__).parents[2] / "scripts"
RULES = SCRIPTS / "alerts" / "gmhealth.rules.yml"
DASHBOARD = SCRIPTS / "grafana" / "gmhealth.json"
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
SAMPLES = {metric.name + suffix: metric for metric in METRICS for suffix in SUFFIXES[metric.kind]}
ADDED_BY_PROMETHEUS = {"instance", "job", "le"}


def _expressions() -> Iterator[str]:
    dashboard: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    rules = RULES.read_text(encoding="utf-8")
    yield from (" ".join(lines.split()) for lines in re.findall(r"(?m)^ {8}expr: (?:>-\n)?(.+(?:\n {10}.+)*)$", rules))


def _unknown(expression: str) -> list[str]:
    """What an expression asks for and nobody has: metrics, labels, or values of a label."""
    found = []
    for name, matchers in re.findall(r"\b(gmhealth_\w+)(?:\{([^}]*)\})?", expression):
        metric = SAMPLES.get(name)
        if metric is None:
            found.append(name)
            continue
        for label, value in re.findall(r'(\w+)=~?"([^"]*)"', matchers):
            if label in metric.labels:
                position = metric.labels.index(label)
                if value not in {labels[position] for labels in metric.series}:
                    found.append(f"{name} {label}={value}")
            elif label not in ADDED_BY_PROMETHEUS:
                found.append(f"{name} {label}")
    for names in re.findall(r"\bby \(([^)]*)\)", expression):
        known = ADDED_BY_PROMETHEUS.union(*(metric.labels for name, metric in SAMPLES.items() if name in expression))
        found += [name for name in names.split(", ") if name not in known]
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
    missing = [m.name for m in METRICS if not shown & {m.name + suffix for suffix in SUFFIXES[m.kind]}]
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
