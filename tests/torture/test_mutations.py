"""The harness can fail: each known mutation of the protocol, applied to a copy of the package, is caught.

The mutations are those that `tests/worker/test_protocol_model.py` names.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.torturing.campaign import Campaign, Judged, Plan, Struck
from scripts.torturing.consumer import ROOT
from scripts.torturing.kinds import KINDS, Kind
from scripts.torturing.moments import Side
from scripts.torturing.reports import Violation
from scripts.torturing.site import site

MOST_FAULTS = 120

OFFSET_BEFORE_PUBLISH = (
    "adapters/redis_ledger.py",
    "            reply = self._run(meanwhile, len(names), *names, *head, *letters)\n",
    """
            reply = self._run(meanwhile, len(names), *names, *head[:7], _packed(()), *head[8:])
            if reply is None:
                again = ("marked", "", commit.mark, "", *head[4:])
                reply = self._run(nothing, len(names), *names, *again, *letters)
""",
)
NO_FENCE = (
    "adapters/commit.lua",
    "if mark ~= ARGV[3] or ARGV[1] == 'fenced' and saved ~= ARGV[2] then",
    "if false then",
)
DEBOUNCE_KEPT = ("worker.py", "        if again:\n            self._forget(events)\n", "")


class Caught(Exception):
    """The harness found something."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        super().__init__(violations[0].text)
        self.rules = {violation.rule for violation in violations}


def mutated(into: Path, mutation: tuple[str, str, str]) -> Path:
    name, old, new = mutation
    shutil.copytree(ROOT / "gmhealth", into / "gmhealth", ignore=shutil.ignore_patterns("__pycache__"))
    path = into / "gmhealth" / name
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, "what is to be mutated reads otherwise by now"
    path.write_text(text.replace(old, new), encoding="utf-8")
    return into


def torture(package: Path, kinds: Sequence[Kind], directory: Path) -> None:
    """Raises `Caught` after the first run with a violation."""

    def tell(told: Struck | Judged) -> None:
        if isinstance(told, Judged) and told.violations:
            raise Caught(told.violations)

    (directory / "evidence").mkdir()
    with site(directory / "servers") as servers:
        plan = Plan(seed=3, lane=0, faults=MOST_FAULTS, kinds=kinds, package=package, run=(2, 4))
        Campaign(plan, servers, directory / "evidence", tell).carry_out()


def named(*names: str, **changes: object) -> list[Kind]:
    return [replace(kind, **changes) for kind in KINDS if kind.name in names]  # type: ignore[arg-type]


BEFORE_PUBLISHING = {"wires": ("publish",), "sides": (Side.BEFORE,), "games": 3}


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("mutation", "kinds", "rules"),
    [
        pytest.param(OFFSET_BEFORE_PUBLISH, named("kill -9"), {"I3"}, id="offset saved before publish"),
        pytest.param(
            NO_FENCE,
            named("offset reset back", "offset reset forward"),
            {"I1", "I3", "I5", "I6", "I7", "D4"},  # what it passes unread is not written, told or kept, either
            id="fence left out",
        ),
        pytest.param(
            DEBOUNCE_KEPT,
            named("connection cut, Redis", "Valkey full", "Valkey without replicas", **BEFORE_PUBLISHING),
            {"I3"},
            id="debounce entries kept on a repeated batch",
        ),
    ],
)
def test_a_broken_worker_is_caught(
    tmp_path: Path, mutation: tuple[str, str, str], kinds: Sequence[Kind], rules: set[str]
) -> None:
    package = mutated(tmp_path / "package", mutation)
    with pytest.raises(Caught) as caught:
        torture(package, kinds, tmp_path)
    assert rules & caught.value.rules
