"""The harness can fail: each known mutation of the protocol, applied to a copy of the package, is caught."""

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
    "adapters/redis/ledger.py",
    "            reply = self._run(meanwhile, len(names), *names, *arguments)\n",
    """
            reply = self._run(meanwhile, len(names), *names, *arguments[:6], _packed(()), *arguments[7:])
            if reply is None and commit.snapshots:
                again = ("", "", commit.record.pack(), "", commit.record.pack(), *arguments[5:11], b"", b"", 0)
                reply = self._run(nothing, len(names), *names, *again)
""",
)
NO_FENCE = (
    "adapters/redis/commit.lua",
    "if record ~= ARGV[3] or ARGV[1] == 'yes' and offset ~= ARGV[2] then",
    "if false then",
)
DEBOUNCE_KEPT = ("worker/loop.py", "        self._writer.forget()\n", "")
NOTHING_PUBLISHED = (
    "worker/repair.py",
    "        page = self._rows.changed_since(at, None, SLICE)\n",
    "        page: Sequence[Stored] = ()\n",
)
NOT_DURABLE = ("adapters/postgres/rows.py", "SELECT set_config('synchronous_commit', 'on', false)", "SELECT '', '', ''")

REFUSED_AND_DROPPED = (
    "worker/loop.py",
    "(*decoded.invalid, *dead_letters(reading.read.entries, written)) if self._job.moves_offset else ()",
    "decoded.invalid",
)
NEIGHBOUR_REFUSED = (
    "worker/isolation.py",
    "            if len(effects) == 1:\n",
    "            if len(effects) <= 2:\n",
)

NOTHING_AGAIN = (
    "worker/repair.py",
    "repairs = self._repair(at, course) if course.verify else Repairs(at)",
    "repairs = Repairs(at)",
)
ALL_AGAIN = (
    "core/journal.py",
    " if is_lost(row, of := lines[row.game_id], in_flight)",
    " if (of := lines[row.game_id])",
)


class Caught(Exception):
    """The harness found something."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        super().__init__(violations[0].text)
        self.rules = {violation.rule for violation in violations}
        self.add_note("\n".join(f"{rule}: {text}" for rule, text in violations))


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

    def tell(done: Struck | Judged) -> None:
        if isinstance(done, Judged) and done.violations:
            raise Caught(done.violations)

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
            {"I1", "I3", "I5", "I6", "I7", "D4"},  # what it passes unread is not written, published or kept, either
            id="fence left out",
        ),
        pytest.param(
            DEBOUNCE_KEPT,
            named("connection cut, Redis", "Valkey full", "Valkey without replicas", **BEFORE_PUBLISHING),
            {"I3", "D4"},
            id="debounce entries kept on a repeated batch",
        ),
        pytest.param(
            NOTHING_PUBLISHED,
            named("offset reset forward", "stream trimmed, kill -9"),  # else the entries are read again, and published
            {"I3"},
            id="settled without publishing what was written",
        ),
        pytest.param(
            NOT_DURABLE,
            named("PostgreSQL killed", wires=("publish",), sides=(Side.AFTER, Side.DELIVERED)),
            {"I1"},
            id="rows written with synchronous_commit off",
        ),
        pytest.param(REFUSED_AND_DROPPED, named("row refused"), {"I1"}, id="events of a refused row dropped"),
        pytest.param(NEIGHBOUR_REFUSED, named("row refused"), {"I7"}, id="a game refused with another one"),
        pytest.param(NOTHING_AGAIN, named("PostgreSQL loses commits"), {"I1"}, id="what was lost not written again"),
        pytest.param(ALL_AGAIN, named("PostgreSQL loses commits"), {"I10"}, id="all written again"),
    ],
)
def test_a_broken_worker_is_caught(
    tmp_path: Path, mutation: tuple[str, str, str], kinds: Sequence[Kind], rules: set[str]
) -> None:
    package = mutated(tmp_path / "package", mutation)
    with pytest.raises(Caught) as caught:
        torture(package, kinds, tmp_path)
    assert rules & caught.value.rules
