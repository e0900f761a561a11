"""`gmhealth dead-letter`: what could not be decoded is shown whole, sent again once, and deleted only when asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
import redis

from gmhealth.adapters.redis import connection as redis_connection
from gmhealth.adapters.redis.dead_letters import MOST_PARTS, DeadLetter, RedisDeadLetters
from gmhealth.core.packed_letter import pack
from gmhealth.errors import Unavailable, Unusable
from tests.cli.conftest import Run
from tests.cli.world import DROPPED, LETTERS, RETRIED, STREAM, append, dump, event
from tests.games import add_game, game


def flat(fields: dict[str, str | bytes]) -> list[bytes]:
    return [part if isinstance(part, bytes) else part.encode() for pair in fields.items() for part in pair]


def put(client: redis.Redis, fields: list[bytes], reason: str = "event_type_unknown") -> str:
    """A dead letter as an older version may have left it."""
    found: Any = client.execute_command("XADD", LETTERS, "*", "letter", pack(b"1-1", reason, fields))
    return str(found.decode())


VALID = flat(event("game-a", "container_oom"))
INVALID = flat(event("game-a", "container_on_fire"))


def stream(client: redis.Redis) -> list[list[bytes]]:
    """Every entry of the health stream, byte for byte and in order."""
    found: Any = client.xrange(STREAM)
    return [[part for pair in named.items() for part in pair] for _, named in found]


def test_what_the_consumer_refuses_is_listed_with_its_reason(
    run: Run, run_json: Callable[..., Any], redis_client: redis.Redis
) -> None:
    source = append(redis_client, event("game-a", "container_on_fire"))
    append(redis_client, event("", "container_oom"))
    run("consume", "--once")
    view = run_json("dead-letter", "list")
    assert view["total"] == 2
    assert view["by_reason"] == {"game_id_blank": 1, "event_type_unknown": 1}
    assert [letter["reason"] for letter in view["letters"]] == ["game_id_blank", "event_type_unknown"]
    assert view["letters"][1]["source"]["id"] == source
    text = run("dead-letter", "list").stdout
    assert "2 dead letters in gamemaster:dead_letters:health_events" in text
    assert f"next: gmhealth dead-letter show {view['letters'][0]['id']}" in text
    assert [letter["id"] for letter in run_json("dead-letter", "list", "-n", "1")["letters"]] == [
        view["letters"][0]["id"]
    ]


def test_an_event_whose_row_is_refused_is_shown_with_the_servers_words_and_retried_once_the_table_is_mended(
    run: Run, run_json: Callable[..., Any], redis_client: redis.Redis, pg: psycopg.Connection
) -> None:
    for game_id in ("game-a", "game-b"):
        add_game(pg, game_id)
        append(redis_client, event(game_id, "container_oom"))
    pg.execute("ALTER TABLE runtime_records ADD CONSTRAINT no_b CHECK (game_id <> 'game-b' OR status = 'running')")
    consumed = run("consume", "--once")
    assert "PostgreSQL refuses the row of a game  game_id=game-b" in consumed.stderr
    assert "sqlstate=23514" in consumed.stderr
    assert game(pg, "game-a").status == "engine_unreachable"
    (letter,) = run_json("dead-letter", "list")["letters"]
    assert letter["reason"] == "row_refused"
    shown = run("dead-letter", "show", letter["id"]).stdout
    assert "no_b" in shown
    assert f"next: mend the table; then gmhealth dead-letter retry {letter['id']}" in shown
    pg.execute("ALTER TABLE runtime_records DROP CONSTRAINT no_b")
    run("dead-letter", "retry", letter["id"], "--yes")
    run("consume", "--once")
    assert game(pg, "game-b").status == "engine_unreachable"


def test_those_that_were_dropped_are_told(run: Run, run_json: Callable[..., Any], redis_client: redis.Redis) -> None:
    assert run_json("dead-letter", "list")["dropped"] == 0
    redis_client.set(DROPPED, "1234")
    told = "1,234 older ones were dropped to keep to the limit"
    assert f"there are no dead letters in {LETTERS}" in run("dead-letter", "list").stdout
    assert told in run("dead-letter", "list", columns=200).stdout
    put(redis_client, INVALID)
    assert run_json("dead-letter", "list")["dropped"] == 1234
    assert told in run("dead-letter", "list", columns=200).stdout
    assert f"1; {told}: gmhealth dead-letter list" in run("status", columns=200).stdout
    assert f"1; {told}" in run("doctor", columns=200).stdout
    redis_client.set(DROPPED, "garbage")
    assert run_json("status")["dead_letters_dropped"] == 0


def test_without_any_it_says_so(run: Run) -> None:
    assert "there are no dead letters" in run("dead-letter", "list").stdout


def test_one_is_shown_whole(run: Run, run_json: Callable[..., Any], redis_client: redis.Redis) -> None:
    letter = put(redis_client, [*INVALID, b"\xff\x00", b"\x1b[31m"])
    view = run_json("dead-letter", "show", letter)
    assert view["fields"][-1] == ["\\xff\x00", "\x1b[31m"]
    assert (view["valid_now"], view["retried_as"]) == (False, None)
    text = run("dead-letter", "show", letter).stdout
    assert "\\xff\\x00" in text
    assert f"mend what sends it; then gmhealth dead-letter purge {letter}" in text
    valid = put(redis_client, VALID)
    assert f"next: gmhealth dead-letter retry {valid}" in run("dead-letter", "show", valid).stdout


def ids(client: redis.Redis) -> list[str]:
    found: Any = client.xrange(LETTERS)
    return [entry_id.decode() for entry_id, _ in found]


@pytest.mark.parametrize("command", ["show", "retry", "purge"])
def test_one_that_is_not_there_is_exit_3(run: Run, command: str) -> None:
    words = ["dead-letter", command, "5-5", *(["--yes"] if command != "show" else [])]
    assert "there is no dead letter 5-5 in gamemaster:dead_letters" in run(*words, code=3).stderr


@pytest.mark.parametrize("command", ["retry", "purge"])
@pytest.mark.parametrize("words", [[], ["5-5", "--all"]])
def test_it_takes_ids_or_all(run: Run, command: str, words: list[str]) -> None:
    assert "it takes IDs or --all" in run("dead-letter", command, *words, "--yes", code=2).stderr


def test_a_retry_sends_what_is_valid_now_byte_for_byte_and_marks_it(
    run: Run, run_json: Callable[..., Any], redis_client: redis.Redis, pg: psycopg.Connection
) -> None:
    add_game(pg)
    odd = [*VALID, b"extra \xff\x00", b"\r\n"]
    good, bad = put(redis_client, odd), put(redis_client, INVALID)
    view = run_json("dead-letter", "retry", "--all", "--yes")
    assert list(view["done"]) == [good]
    assert view["left"] == {bad: "still invalid: event_type_unknown"}
    assert stream(redis_client) == [odd]
    assert ids(redis_client) == [good, bad]
    assert run_json("dead-letter", "show", good)["retried_as"] == view["done"][good]
    again = run_json("dead-letter", "retry", "--all", "--yes")
    assert again["left"][good] == f"retried before, as {view['done'][good]}"
    assert stream(redis_client) == [odd]
    assert f"gmhealth dead-letter purge {good}" in run("dead-letter", "show", good).stdout


@pytest.mark.parametrize(
    ("error", "code"), [(lambda: Unavailable("Redis could not retry: connection lost"), 5), (KeyboardInterrupt, 130)]
)
@pytest.mark.parametrize("before", [True, False])
def test_a_retry_whose_answer_is_lost_is_neither_lost_nor_doubled(
    run: Run,
    redis_client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    before: bool,
    error: Callable[[], BaseException],
    code: int,
) -> None:
    """It ends before the script ran or after it: the same command again makes it right."""
    first, second = put(redis_client, VALID), put(redis_client, [*VALID, b"n", b"2"])
    retry = RedisDeadLetters.retry

    def lose_the_answer(self: RedisDeadLetters, letter: Any) -> str | None:
        if letter.letter_id == second and before:
            raise error()
        done = retry(self, letter)
        if letter.letter_id == second:
            raise error()
        return done

    with monkeypatch.context() as broken:
        broken.setattr(RedisDeadLetters, "retry", lose_the_answer)
        result = run("dead-letter", "retry", first, second, "--yes", code=code)
    assert "1 of 2 were retried; the same command again does the rest" in result.stderr
    run("dead-letter", "retry", first, second, "--yes")
    assert stream(redis_client) == [VALID, [*VALID, b"n", b"2"]]


def test_where_the_marks_cannot_be_kept_nothing_is_sent(run: Run, redis_client: redis.Redis) -> None:
    letter = put(redis_client, VALID)
    script = RedisDeadLetters(redis_client, letters=LETTERS, retried=RETRIED, dropped=DROPPED, stream=STREAM)
    found = script.all()
    kept = next(found)
    redis_client.set(RETRIED, "no hash")
    with pytest.raises(Exception, match="WRONGTYPE"):
        script.retry(kept)
    assert kept.letter_id == letter
    assert redis_client.exists(STREAM) == 0


def test_letters_of_any_size_come_back_whole(run: Run, run_json: Callable[..., Any], redis_client: redis.Redis) -> None:
    many = [*VALID, *(part for number in range(1500) for part in (b"name %d" % number, b"v" * 10))]
    large = [*VALID, b"large", b"\xfe" * 100_000]
    letters = [put(redis_client, fields) for fields in (many, large)]
    assert len(run_json("dead-letter", "show", letters[0])["fields"]) == 1505
    assert len(run_json("dead-letter", "show", letters[1])["fields"][-1][1]) == 400_000  # as \xfe
    text = run("dead-letter", "show", letters[1]).stdout
    assert "(400,000 characters)" in text
    assert len(text) < 10_000
    run("dead-letter", "retry", "--all", "--yes")
    assert stream(redis_client) == [many, large]


MANY = [*VALID, *(b"%d" % number for number in range(MOST_PARTS))]
"""More than a script can append."""


def test_more_fields_than_a_script_can_append_come_back_whole_and_once(
    run_json: Callable[..., Any], redis_client: redis.Redis
) -> None:
    fits = MANY[:MOST_PARTS]
    letters = [put(redis_client, fits), put(redis_client, MANY)]
    done = run_json("dead-letter", "retry", "--all", "--yes")["done"]
    assert list(done) == letters
    assert stream(redis_client) == [fits, MANY]
    assert run_json("dead-letter", "show", letters[1])["retried_as"] == done[letters[1]]
    assert run_json("dead-letter", "retry", "--all", "--yes")["done"] == {}
    assert len(stream(redis_client)) == 2


@pytest.fixture
def large(redis_url: str, redis_client: redis.Redis) -> Iterator[tuple[RedisDeadLetters, DeadLetter]]:
    """A letter of so many fields, and the product's own way to it."""
    put(redis_client, MANY)
    with redis_connection.connect(redis_url) as client:
        letters = RedisDeadLetters(client, letters=LETTERS, retried=RETRIED, dropped=DROPPED, stream=STREAM)
        (letter,) = letters.all()
        yield letters, letter


@pytest.mark.parametrize("key", [RETRIED, STREAM])
def test_a_large_one_is_not_marked_where_it_cannot_be_sent(
    large: tuple[RedisDeadLetters, DeadLetter], redis_client: redis.Redis, key: str
) -> None:
    redis_client.set(key, "something else")
    with pytest.raises(Unusable, match="WRONGTYPE"):
        large[0].retry(large[1])
    assert redis_client.exists(RETRIED, STREAM) == 1


@pytest.mark.parametrize("by_then", ["the same letter", "another letter"])
def test_a_large_one_that_is_retried_twice_at_once_is_sent_once(
    large: tuple[RedisDeadLetters, DeadLetter], redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch, by_then: str
) -> None:
    looked, others = redis.client.Pipeline.xlen, [large[1].letter_id if by_then == "the same letter" else "5-5"]

    def meet(self: redis.client.Pipeline, *names: str) -> object:
        while others:
            redis_client.hset(RETRIED, others.pop(), "1-1")
        return looked(self, *names)

    monkeypatch.setattr(redis.client.Pipeline, "xlen", meet)
    assert (large[0].retry(large[1]) is None) == (by_then == "the same letter")
    assert redis_client.xlen(STREAM) == (by_then == "another letter")


@pytest.mark.parametrize("fields", [VALID, MANY], ids=["small", "large"])
def test_one_that_was_purged_meanwhile_is_not_sent(
    redis_url: str, redis_client: redis.Redis, fields: list[bytes]
) -> None:
    """Also not a second time: with the letter goes the note that it was retried."""
    put(redis_client, fields)
    with redis_connection.connect(redis_url) as client:
        letters = RedisDeadLetters(client, letters=LETTERS, retried=RETRIED, dropped=DROPPED, stream=STREAM)
        (letter,) = letters.all()
        assert letters.retry(letter) is not None
        letters.delete([letter.letter_id])
        assert letters.retry(letter) is None
    assert stream(redis_client) == [fields]
    assert redis_client.exists(RETRIED) == 0


@pytest.mark.parametrize("fields", [{"letter": "short"}, {"reason": "x"}])
def test_a_damaged_letter_is_left_with_the_reason(
    run: Run, run_json: Callable[..., Any], redis_client: redis.Redis, fields: dict[Any, Any]
) -> None:
    letter: Any = redis_client.xadd(LETTERS, fields)
    assert run_json("dead-letter", "retry", "--all", "--yes")["left"] == {
        letter.decode(): "damaged: its fields cannot be read"
    }
    assert run_json("dead-letter", "list")["by_reason"] == {"damaged": 1}
    shown = run("dead-letter", "show", letter.decode()).stdout
    assert f"an entry of {STREAM}" in shown
    assert "dead-letter purge" in shown


def test_many_letters_are_read_in_pages(run_json: Callable[..., Any], redis_client: redis.Redis) -> None:
    for _ in range(250):
        put(redis_client, VALID)
    assert len(run_json("dead-letter", "retry", "--all", "--yes")["done"]) == 250
    listed = run_json("dead-letter", "list", "--limit", "1000")["letters"]
    assert len({letter["retried_as"] for letter in listed}) == 250


def test_a_purge_deletes_what_it_names_and_its_mark(run: Run, redis_client: redis.Redis) -> None:
    kept, gone = put(redis_client, VALID), put(redis_client, VALID)
    run("dead-letter", "retry", "--all", "--yes")
    assert "event_type_unknown" in run("dead-letter", "purge", gone, "--yes").stdout
    assert ids(redis_client) == [kept]
    assert redis_client.hkeys(RETRIED) == [kept.encode()]
    run("dead-letter", "purge", "--all", "--yes")
    assert (ids(redis_client), redis_client.exists(RETRIED)) == ([], 0)


@pytest.mark.parametrize("command", ["retry", "purge"])
def test_off_a_terminal_it_needs_yes(run: Run, redis_client: redis.Redis, pg: psycopg.Connection, command: str) -> None:
    put(redis_client, VALID)
    before = dump(redis_client, pg)
    assert "--yes" in run("dead-letter", command, "--all", code=4).stderr
    assert dump(redis_client, pg) == before
