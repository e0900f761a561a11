"""A row that PostgreSQL refuses stops no other one, unless it refuses most, as then it is the table (design 3.1)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmhealth.core.plan import NetEffect, Refusal, Row, apply
from gmhealth.core.rules import Summary
from gmhealth.errors import Unusable
from gmhealth.worker.isolation import FEWEST, MOST, NOT_UPDATED, Isolation
from gmhealth.worker.ports import Meanwhile, Rows, Wrote, nothing

TOO_LONG = Refusal("value too long", "22001")


class Table:
    """Rows of which PostgreSQL refuses some and does not update others; `late` ones it finds at the second try."""

    def __init__(
        self, refused: Collection[str] = (), skipped: Collection[str] = (), late: Collection[str] = ()
    ) -> None:
        self.refused, self.skipped, self.late = set(refused), set(skipped), set(late)
        self.written: dict[str, str] = {}  # when, by game
        self.statements = 0

    def write(self, effects: Sequence[NetEffect], since: str, meanwhile: Meanwhile = nothing) -> Wrote:
        meanwhile()
        self.statements += 1
        games = [effect.game_id for effect in effects]
        assert games == sorted(games), "rows are locked in the order of their IDs"
        if self.refused.intersection(games):
            return Wrote("", {}, refusal=TOO_LONG)
        skipped = (self.skipped | self.late).intersection(games)
        self.late -= skipped
        taken = [effect for effect in effects if effect.game_id not in skipped]
        at = f"t{self.statements:04}" if taken else ""
        assert not self.written.keys() & {effect.game_id for effect in taken}
        self.written |= {effect.game_id: at for effect in taken}
        return Wrote(at, apply(taken, {each.game_id: Row("running", 1, "") for each in taken}), skipped)


def effects(games: Collection[str]) -> list[NetEffect]:
    return [NetEffect(game_id, "", Summary.OOM) for game_id in sorted(games)]


def isolation(table: Table) -> Isolation:
    return Isolation(cast(Rows, table))


some = st.sets(st.integers(0, 40).map("game-{:02}".format), max_size=4)


@given(good=st.sets(st.integers(41, 99).map("game-{:02}".format)), refused=some, skipped=some, late=some)
def test_every_other_row_is_written_once(good: set[str], refused: set[str], skipped: set[str], late: set[str]) -> None:
    skipped, late = skipped - refused, late - refused - skipped
    table = Table(refused, skipped, late)
    found = isolation(table).write(effects(good | refused | skipped | late), "")
    assert found.rows.keys() == good | late
    assert found.refused == {**dict.fromkeys(refused, TOO_LONG), **dict.fromkeys(skipped, NOT_UPDATED)}
    assert {game_id: each.updated_at or found.at for game_id, each in found.rows.items()} == table.written
    assert found.at == max(table.written.values(), default="")


def test_one_refused_row_of_thousands_takes_few_statements() -> None:
    table = Table(["game-4711"])
    isolation(table).write(effects([f"game-{n:04}" for n in range(10_000)]), "")
    assert table.statements < 32


def test_what_is_to_be_done_meanwhile_is_done_once() -> None:
    calls: list[None] = []
    isolation(Table(["game-1"])).write(effects(["game-1", "game-2"]), "", lambda: calls.append(None))
    assert len(calls) == 1


@pytest.mark.parametrize("skips", [False, True])
def test_where_most_rows_are_refused_it_is_the_table(skips: bool) -> None:
    games = [f"game-{n:04}" for n in range(10_000)]
    table = Table(() if skips else games[::2] + games[1::4], games if skips else ())
    with pytest.raises(Unusable, match=r"refused \d+ of the last \d+ rows, that of game-") as caught:
        isolation(table).write(effects(games), "")
    assert table.statements < 100
    assert "dead-letter list" in caught.value.hint


def test_rows_that_are_refused_one_by_one_are_counted_across_batches() -> None:
    table = Table([f"game-{n}" for n in range(10, 10 + FEWEST)])
    rows = isolation(table)
    rows.write(effects([f"game-{n}" for n in range(10 - FEWEST // 4, 10)]), "")
    for number in range(10, 10 + FEWEST * 3 // 4 - 1):
        rows.write(effects([f"game-{number}"]), "")
    with pytest.raises(Unusable):
        rows.write(effects([f"game-{FEWEST + 9}"]), "")


def test_one_game_is_counted_once_however_often_its_row_is_refused() -> None:
    rows = isolation(Table(["game-b"]))
    for number in range(FEWEST + 1):
        rows.write(effects([f"game-{number}"]), "")
        for _ in range(FEWEST):
            rows.write(effects(["game-b"]), "")


def test_a_game_that_is_written_again_is_the_last_one() -> None:
    rows = isolation(Table(["game-a"]))
    for game_id in ("game-a", *(f"game-{n}" for n in range(MOST - 1)), "game-a", "game-b"):
        rows.write(effects([game_id]), "")
    assert list(rows._recent)[-2:] == ["game-a", "game-b"]


def test_neighbours_that_are_refused_are_not_the_table() -> None:
    games = [f"game-{n:03}" for n in range(400)]
    found = isolation(Table(games[100:160])).write(effects(games), "")
    assert sorted(found.refused) == games[100:160]


def test_what_was_long_ago_does_not_count() -> None:
    new = [f"new-{n}" for n in range(MOST)]
    rows = isolation(Table(new))
    rows.write(effects([f"game-{n}" for n in range(10 * MOST)]), "")
    taken = [game_id for game_id in new if _takes(rows, game_id)]
    assert len(taken) == MOST // 2


def _takes(rows: Isolation, game_id: str) -> bool:
    with suppress(Unusable):
        rows.write(effects([game_id]), "")
        return True
    return False
