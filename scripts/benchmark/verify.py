"""Whether a round did what it had to: rows, snapshots and offset against the model."""

from __future__ import annotations

from itertools import islice, zip_longest

from scripts.benchmark.model import Model
from scripts.benchmark.site import Site
from scripts.benchmark.task import OFFSET_KEY, Task
from scripts.benchmark.workload import Row, game_name

ROWS = "SELECT game_id, status, current_turn, engine_health FROM runtime_records ORDER BY game_id"


class Differs(Exception):
    """A contestant's rows, snapshots or offset are not what the events call for."""


def verify(site: Site, task: Task, *, offset: bool = True) -> None:
    """Compare what is on the servers with the model of the first `task.entries` events; raises `Differs`."""
    model = Model(site.workload)
    expected_snapshots = model.snapshots(islice(site.workload.events(), task.entries))
    for at, (sent, expected) in enumerate(zip_longest(site.sent(), expected_snapshots)):
        if sent != expected:
            raise Differs(f"snapshot {at}: sent {sent}, expected {expected}")
    _verify_rows(site, model)
    saved = site.redis.get(OFFSET_KEY)
    if offset and (saved or b"").decode() != task.until:
        raise Differs(f"saved offset {saved}, expected {task.until}")


def _verify_rows(site: Site, model: Model) -> None:
    names = (game_name(game) for game in range(site.workload.table_size))
    with site.postgres.transaction(), site.postgres.cursor("bench_rows") as cursor:
        cursor.itersize = 10_000
        for name, found in zip_longest(names, cursor.execute(ROWS)):
            expected = None if name is None else model.row(name)
            if found is None or expected is None or (found[0], Row(*found[1:])) != (name, expected):
                raise Differs(f"row {name}: found {found}, expected {expected}")
