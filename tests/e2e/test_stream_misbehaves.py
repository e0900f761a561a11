"""Whatever becomes of the stream is noticed at the end of the read it happens in, said once, counted and kept (I9)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.request import urlopen

import psycopg
import pytest
import redis

from tests import incident
from tests.e2e.conftest import Daemon, Gmhealth
from tests.e2e.rounds import come_round
from tests.eventually import eventually
from tests.games import add_game, game
from tests.streams import append, text

OFFSET = "gamemaster:stream_offsets:health_events"
NOW_MS = 1_795_449_364_000
HOUR_MS = 3_600_000
MESSAGES = {
    "trimmed": "entries were removed from the stream before they were read",
    "behind": "the stream ends before the offset: it was recreated or failed over; reading it from its start",
    "replaced": "another stream has taken the place of the one that was read; reading it from its start",
    "gone": "the stream is gone; waiting for another",
}
Break = Callable[["redis.client.Pipeline"], object]


class Case(NamedTuple):
    """What happens at once to a stream that was read up to `READ`, and what must come of it."""

    happens: Break
    kind: str
    lost: int | None
    left: tuple[int, ...]
    """What is consumed of it, oldest first, by milliseconds after `NOW_MS`."""


def params(cases: Mapping[str, Case]) -> list[Any]:
    """The cases by their names; without counts none tells how many were lost, or that a stream is another one."""
    return [
        pytest.param(case, id=name, marks=() if case.lost is None else pytest.mark.since_redis_7)
        for name, case in cases.items()
    ]


def entry_id(after_ms: int) -> str:
    return f"{NOW_MS + after_ms}-0"


def event(kind: str) -> dict[str, str]:
    return {"game_id": "game-a", "event_type": kind, "occurred_at_ms": "1"}


def add(pipeline: redis.client.Pipeline, *after_ms: int) -> object:
    for each in after_ms:
        fields = [part for pair in event("probe_failed").items() for part in pair]
        pipeline.execute_command("XADD", incident.STREAM, entry_id(each), *fields)
    return pipeline


def trimmed(*how: str | int) -> Break:
    return lambda pipeline: (add(pipeline, 3, 4, 5), pipeline.execute_command("XTRIM", incident.STREAM, *how))


def recreated(*after_ms: int) -> Break:
    return lambda pipeline: (pipeline.delete(incident.STREAM), add(pipeline, *after_ms))


CASES = {
    "trimmed by MAXLEN": Case(trimmed("MAXLEN", 1), "trimmed", 2, (5,)),
    "trimmed by MINID": Case(trimmed("MINID", entry_id(4)), "trimmed", 1, (4, 5)),
    "deleted in the middle": Case(
        lambda pipeline: (add(pipeline, 3, 4, 5), pipeline.xdel(incident.STREAM, entry_id(4))), "trimmed", 1, (3, 5)
    ),
    "deleted at the end": Case(
        lambda pipeline: (add(pipeline, 3, 4, 5), pipeline.xdel(incident.STREAM, entry_id(5))), "trimmed", 1, (3, 4)
    ),
    "all of it trimmed": Case(trimmed("MAXLEN", 0), "trimmed", 3, ()),
    "recreated with smaller IDs": Case(recreated(-9, -8), "behind", None, (-9, -8)),
    "recreated by a clock an hour behind": Case(recreated(-HOUR_MS, -9), "behind", None, (-HOUR_MS, -9)),
    "recreated with IDs that go on": Case(recreated(3, 4), "replaced", 0, (3, 4)),
    "recreated with smaller IDs that have passed": Case(recreated(-9, 1, 3), "replaced", 0, (-9, 1, 3)),
    "recreated with more than there was": Case(recreated(3, 4, 5, 6, 7, 8), "replaced", 0, (3, 4, 5, 6, 7, 8)),
    "recreated and trimmed": Case(
        lambda pipeline: (recreated(3, 4, 5)(pipeline), pipeline.xtrim(incident.STREAM, maxlen=2, approximate=False)),
        "replaced", 1, (4, 5),
    ),
    "an offset beyond the end": Case(lambda pipeline: pipeline.set(OFFSET, entry_id(HOUR_MS)), "behind", None, (1, 2)),
}  # fmt: skip


def consumed(client: redis.Redis, entry_id: str) -> None:
    eventually(lambda: text(client, OFFSET) == entry_id)


def errors(consume: Daemon) -> list[str]:
    return [line for line in consume.said.splitlines() if " error " in line]


def metrics(consume: Daemon) -> dict[str, float]:
    found = re.search(r"serving metrics  url=(\S+)", consume.said)
    assert found
    with urlopen(found[1]) as page:
        lines = page.read().decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


def last_break(gmhealth: Gmhealth) -> dict[str, Any]:
    status = json.loads(gmhealth.run("status", "-o", "json").stdout)
    assert status["gap"] is None
    found: dict[str, Any] = status["last_break"]
    return found


def doctor(gmhealth: Gmhealth) -> dict[str, dict[str, str]]:
    checks = json.loads(gmhealth.run("doctor", "-o", "json").stdout)["checks"]
    return {check["name"]: check for check in checks}


def at_rest(gmhealth: Gmhealth, client: redis.Redis) -> Daemon:
    """A consumer that has read all there is."""
    consume = gmhealth.start("consume", "--metrics-addr", "0")
    for each in (1, 2):
        append(client, incident.STREAM, event("container_oom"), entry_id(each))
    consumed(client, entry_id(2))
    come_round(client, consume, 2)
    return consume


@pytest.fixture(autouse=True)
def _a_game(pg: psycopg.Connection) -> None:
    add_game(pg)


@pytest.mark.parametrize("case", params(CASES))
def test_it_is_noticed_at_once_said_once_counted_kept_and_consumed_on(
    gmhealth: Gmhealth, redis_client: redis.Redis, pg: psycopg.Connection, case: Case
) -> None:
    consume = at_rest(gmhealth, redis_client)
    with redis_client.pipeline(transaction=True) as pipeline:
        case.happens(pipeline)
        pipeline.execute()
    come_round(redis_client, consume, 3)  # the end of the read that it happened in, and what was done then
    (line,) = errors(consume)
    assert MESSAGES[case.kind] in line
    if case.left:
        consumed(redis_client, entry_id(case.left[-1]))

    append(redis_client, incident.STREAM, event("container_started"), last := entry_id(HOUR_MS - 1))
    consumed(redis_client, last)
    come_round(redis_client, consume)
    assert errors(consume) == [line], "said once"
    assert game(pg).engine_health == "healthy"
    page = metrics(consume)
    assert page["gmhealth_entries_total"] == 2 + len(case.left) + 1
    assert page[f'gmhealth_stream_breaks_total{{kind="{case.kind}"}}'] == 1
    assert sum(value for name, value in page.items() if name.startswith("gmhealth_stream_breaks_total")) == 1
    assert page["gmhealth_entries_lost_total"] == (case.lost or 0)

    kept = last_break(gmhealth)
    assert (kept["kind"], kept["lost"], kept["exact"]) == (case.kind, case.lost, True)
    assert kept["text"] in gmhealth.run("status").stdout.replace("\n" + " " * 14, " ")
    check = doctor(gmhealth)["last break"]
    assert (check["result"], check["hint"] != "") == ("warning", True)
    assert kept["text"] in check["found"]
    assert kept["text"] in gmhealth.run("offset", "show").stdout.replace("\n" + " " * 16, " ")


DOWN = {
    "trimmed": Case(trimmed("MAXLEN", 1), "trimmed", 2, (5,)),
    "the stream deleted": Case(lambda pipeline: pipeline.delete(incident.STREAM), "gone", None, ()),
    "recreated with smaller IDs": Case(recreated(-9, -8), "behind", None, (-9, -8)),
    "recreated with IDs that go on": Case(recreated(3, 4), "replaced", 0, (3, 4)),
    "recreated with smaller IDs that have passed": Case(recreated(-9, 1, 3), "replaced", 0, (-9, 1, 3)),
}


@pytest.mark.parametrize("case", params(DOWN))
def test_what_happened_while_it_was_down_is_noticed_at_the_start(
    gmhealth: Gmhealth, redis_client: redis.Redis, case: Case
) -> None:
    for each in (1, 2):
        append(redis_client, incident.STREAM, event("container_oom"), entry_id(each))
    assert gmhealth.run("consume", "--once").returncode == 0
    with redis_client.pipeline(transaction=True) as pipeline:
        case.happens(pipeline)
        pipeline.execute()
    gap = json.loads(gmhealth.run("status", "-o", "json").stdout)["gap"]
    assert (gap["kind"], gap["lost"]) == (case.kind, case.lost)

    consume = gmhealth.start("consume")
    consume.says(MESSAGES[case.kind])
    if case.left:
        consumed(redis_client, entry_id(case.left[-1]))
        assert last_break(gmhealth)["kind"] == case.kind
    come_round(redis_client, consume)
    assert len(errors(consume)) == 1


def test_a_break_that_is_met_again_keeps_the_time_it_was_first_seen(
    gmhealth: Gmhealth, redis_client: redis.Redis
) -> None:
    append(redis_client, incident.STREAM, event("container_oom"), entry_id(1))
    assert gmhealth.run("consume", "--once").returncode == 0
    redis_client.delete(incident.STREAM)
    first = gmhealth.start("consume")
    first.says(MESSAGES["gone"])
    noted = redis_client.get("gamemaster:last_break:health_events")
    first.stop()
    gmhealth.start("consume").says(MESSAGES["gone"])
    assert redis_client.get("gamemaster:last_break:health_events") == noted


def test_a_clock_that_was_set_back_breaks_nothing_and_doctor_tells(
    gmhealth: Gmhealth, redis_client: redis.Redis, pg: psycopg.Connection
) -> None:
    """Redis goes on from its last ID, however far in the future that is."""
    consume = gmhealth.start("consume")
    append(redis_client, incident.STREAM, event("container_oom"), "4102444800000-0")  # in the year 2100
    last = append(redis_client, incident.STREAM, event("container_started"))
    assert last == "4102444800000-1"
    consumed(redis_client, last)
    come_round(redis_client, consume)
    assert errors(consume) == []
    assert game(pg).engine_health == "healthy"
    check = doctor(gmhealth)["entry IDs"]
    assert check["result"] == "warning"
    assert "ahead of the server's clock" in check["found"]
