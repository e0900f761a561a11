"""A lane as a process: `python -m scripts.torturing.lane_process`, with its orders as its argument, JSON as output.

It ends, with all that it started, when its standard input does: nothing outlives whoever started it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from threading import Thread

from scripts.ending import end_in_order
from scripts.torturing.campaign import Campaign, Judged, Plan, Struck
from scripts.torturing.kinds import KINDS
from scripts.torturing.site import site
from scripts.torturing.tally import line_of


def main() -> None:
    """Carry out the plan."""
    orders = json.loads(sys.argv[1])
    end_in_order()
    Thread(target=_end_with_parent, daemon=True).start()
    directory = Path(orders["directory"])
    evidence = directory / "evidence"
    evidence.mkdir(parents=True)
    kinds = [kind for kind in KINDS if kind.name in orders["kinds"] or not orders["kinds"]]
    plan = Plan(**orders["plan"], kinds=kinds)
    try:
        with site(directory / "servers") as servers:
            Campaign(plan, servers, evidence, _tell).carry_out()
    except KeyboardInterrupt:
        sys.exit(130)


def _end_with_parent() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


def _tell(done: Struck | Judged) -> None:
    print(json.dumps(line_of(done)), flush=True)


if __name__ == "__main__":
    main()
