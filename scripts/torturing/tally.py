"""What all lanes have done so far, and the tables that are printed of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scripts.benchmark.report import aligned
from scripts.torturing.campaign import Judged, Struck
from scripts.torturing.kinds import KINDS
from scripts.torturing.moments import Side

SIDES = {side.name: side.value for side in Side}
MOST_SHOWN = 10


def line_of(done: Struck | Judged) -> dict[str, Any]:
    """Give what a lane writes, as JSON, about a fault or a run."""
    if isinstance(done, Struck):
        wire, side = done.moment
        return {"struck": done.kind, "wire": wire, "side": side.name, "seen": done.seen, "seconds": done.seconds}
    violations = [[violation.rule, violation.text] for violation in done.violations]
    return {"run": done.run, "kinds": done.kinds, "violations": violations, "snapshots": done.snapshots}


@dataclass(slots=True)
class Tally:
    """Counts by kind and by moment; `blamed` are the runs with a violation that had this kind in them."""

    injected: Counter[str] = field(default_factory=Counter)
    seen: Counter[str] = field(default_factory=Counter)
    seconds: Counter[str] = field(default_factory=Counter)
    blamed: Counter[str] = field(default_factory=Counter)
    moments: Counter[tuple[str, str]] = field(default_factory=Counter)
    runs: int = 0
    snapshots: Counter[int] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def add(self, lane: int, line: Mapping[str, Any]) -> None:
        """Count a line of a lane."""
        if "struck" in line:
            self.injected[line["struck"]] += 1
            self.seen[line["struck"]] += line["seen"]
            self.seconds[line["struck"]] += line["seconds"]
            self.moments[line["wire"], line["side"]] += 1
        elif "run" in line:
            self.runs += 1
            self.snapshots[lane] = line["snapshots"]
            found = [f"lane {lane}, run {line['run']}: {rule}: {text}" for rule, text in line["violations"]]
            self.violations += found
            if found:
                self.blamed.update(set(line["kinds"]))

    def table(self) -> str:
        """Format what was injected, and when."""
        head = ("kind", "injected", "seen", "seconds each", "violations")
        rows = [head, *(self._row(kind.name) for kind in KINDS if self.injected[kind.name])]
        return "\n".join([*aligned(rows), "", *self._gaps(), "", self.summary()])

    def _row(self, name: str) -> Sequence[str]:
        count = self.injected[name]
        each = f"{self.seconds[name] / count:.2f}"
        return name, f"{count:,}", f"{self.seen[name]:,}", each, f"{self.blamed[name]:,}"

    def _gaps(self) -> list[str]:
        wires = sorted({wire for wire, _ in self.moments})
        rows = [(wire, *(f"{self.moments[wire, side]:,}" for side in SIDES)) for wire in wires]
        return aligned([("struck at", *SIDES.values()), *rows])

    def summary(self) -> str:
        """Sum it up in a line."""
        faults, snapshots = self.injected.total(), self.snapshots.total()
        found = f"{len(self.violations)} violations" if self.violations else "no violation"
        return f"{faults:,} faults in {self.runs:,} runs, {snapshots:,} snapshots judged: {found}"

    def shown_violations(self) -> list[str]:
        """Give the first few, each as one line."""
        return [text[:1000] for text in self.violations[:MOST_SHOWN]]
