"""`gmhealth offset reset` that meets trouble on its way: whoever ran it learns whether the offset has moved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
import redis
from redis.commands.core import Script

from gmhealth.adapters.redis.ledger import RedisLedger
from gmhealth.adapters.redis.reset import RedisReset
from gmhealth.adapters.redis.stream import RedisStream
from gmhealth.errors import Unavailable
from tests.cli.conftest import Run
from tests.cli.world import AUDIT, OFFSET, append, event

RESET = ("offset", "reset", "--to-id", "8-0", "--yes")
UNDO = "gmhealth offset reset --to-id 5-0"


@pytest.fixture(autouse=True)
def _nine(redis_client: redis.Redis) -> None:
    """Nine entries; the saved offset is the fifth."""
    for number in range(1, 10):
        append(redis_client, event("game-a", "probe_failed"), f"{number}-0")
    redis_client.set(OFFSET, "5-0")


@pytest.fixture
def consumer(pg: psycopg.Connection) -> None:
    """One that holds the lock and follows nothing."""
    pg.execute("SET application_name = 'a consumer'")
    pg.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [OFFSET])


def lose_the_answer(
    patch: pytest.MonkeyPatch, error: type[BaseException], *, ran: bool = True, then: Callable[[], object] = str
) -> None:
    """Have the answer to the script never arrive."""
    run_script = Script.__call__

    def lose(script: Script, *args: Any, **kwargs: Any) -> None:
        if ran:
            run_script(script, *args, **kwargs)
        then()
        raise error

    patch.setattr(Script, "__call__", lose)


def fail(error: BaseException) -> Callable[..., Any]:
    def failing(*_: object) -> None:
        raise error

    return failing


def offset(client: redis.Redis) -> str:
    found = client.get(OFFSET)
    assert isinstance(found, bytes)
    return found.decode()


def test_a_move_whose_answer_is_lost_is_done_and_says_so(
    run: Run, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_the_answer(monkeypatch, redis.TimeoutError)
    told = run(*RESET).stdout
    assert "the offset is now 8-0" in told
    assert f"undo: {UNDO}" in told
    assert offset(redis_client) == "8-0"


def test_it_is_known_even_if_a_live_consumer_has_gone_on_by_then(
    run: Run, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_the_answer(monkeypatch, redis.TimeoutError, then=lambda: redis_client.set(OFFSET, "9-0"))
    assert f"undo: {UNDO}" in run(*RESET).stdout


def test_a_move_that_never_arrived_says_that_nothing_moved(
    run: Run, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_the_answer(monkeypatch, redis.TimeoutError, ran=False)
    told = run(*RESET, code=5).stderr
    assert f"Redis could not set the offset {OFFSET}" in told
    assert "→ it was not moved, the audit does not have it: look at gmhealth offset show, then try again" in told
    assert offset(redis_client) == "5-0"
    assert redis_client.exists(AUDIT) == 0


def test_where_nobody_can_tell_whether_it_moved_it_says_so_and_how_to_undo_it(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_the_answer(monkeypatch, redis.TimeoutError)
    monkeypatch.setattr(RedisReset, "applied", fail(Unavailable("Redis could not read the audit")))
    told = run(*RESET, code=5).stderr
    assert f"Redis could not set the offset {OFFSET}" in told
    assert f"→ the offset may be 8-0 now: look at gmhealth offset show; undo it with {UNDO}" in told


def test_interrupted_while_the_answer_is_awaited_it_says_that_it_may_have_moved(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_the_answer(monkeypatch, KeyboardInterrupt)
    told = run(*RESET, code=130).stderr
    assert f"the offset may be 8-0 now: look at gmhealth offset show; undo it with {UNDO}" in told


@pytest.mark.usefixtures("consumer")
def test_interrupted_while_it_waits_for_the_consumer_it_says_that_the_offset_has_moved(
    run: Run, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RedisLedger, "saved", fail(KeyboardInterrupt()))
    told = run(*RESET, code=130).stderr
    assert f"the offset is now 8-0: look at gmhealth offset show; undo it with {UNDO}\ninterrupted" in told
    assert offset(redis_client) == "8-0"


@pytest.mark.usefixtures("consumer")
def test_a_server_that_fails_after_the_move_does_not_undo_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RedisLedger, "saved", fail(Unavailable("Redis could not load the offset")))
    result = run(*RESET)
    assert "what came of it is not known: Redis could not load the offset" in result.stderr
    assert "has not followed" not in result.stderr
    assert f"the offset is now 8-0\nundo: {UNDO}\n" in result.stdout


def test_what_cannot_be_counted_after_the_move_is_no_exact_figure(
    run_json: Callable[..., Any], redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The offset moves on between plan and move, so the entries are counted again."""
    lost = fail(Unavailable("Redis could not look at the stream"))

    def meanwhile(*_: object, **__: object) -> None:
        redis_client.set(OFFSET, "6-0")
        monkeypatch.setattr(RedisStream, "state", lost)

    monkeypatch.setattr("gmhealth.cli.offset_reset.confirm", meanwhile)
    view = run_json(*RESET)
    assert (view["applied"], view["old"]["id"], view["exact"]) == (True, "6-0", False)
    assert view["undo"] == "gmhealth offset reset --to-id 6-0"
