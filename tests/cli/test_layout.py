"""Facts and tables fit any width and lose nothing."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gmhealth.cli.folding import cells, fold
from gmhealth.cli.layout import Facts, Grid, Line, Part, Prose, Span, plain

words = st.text(st.characters(categories=["L", "N", "P", "Zs"]), max_size=50)
values = st.text("abcde -漢字", min_size=1, max_size=60).filter(str.strip)
"""None that is blank, which a table shows as an empty line and the test below takes for one between two records."""


def text(lines: Sequence[Line]) -> list[str]:
    return ["".join(span.text for span in line) for line in lines]


def squeezed(lines: Sequence[str]) -> str:
    return "".join("".join(lines).split())


@given(words, st.integers(2, 100))
@example("漢" * 5, 3)
def test_a_folded_text_fits_and_is_whole(value: str, width: int) -> None:
    lines = fold(value, width)
    assert all(cells(line) <= width for line in lines)
    assert squeezed(lines) == squeezed([value])


def test_a_text_is_folded_between_words_where_it_can_be() -> None:
    assert fold("the status was running", 10) == ["the status", "was", "running"]
    assert fold("a container_disappeared", 10) == ["a", "container_", "disappeare", "d"]


def test_wide_characters_take_two_cells_and_combining_ones_none() -> None:
    assert [cells("abc"), cells("漢字"), cells("e\u0301")] == [3, 4, 1]


@given(st.lists(st.lists(values, min_size=3, max_size=3), max_size=4), st.integers(20, 200))
def test_a_table_fits_and_is_whole(rows: list[list[str]], width: int) -> None:
    lines = text(list(Grid("title", ("one", "two", "three"), rows).lines(width)))
    assert all(cells(line) <= width for line in lines)
    assert all(squeezed([value]) in squeezed(lines) or len(value) > 10 for row in rows for value in row)
    # Columns are read one after the other, so only the characters can be compared where values fold.
    assert sorted(squeezed([value for row in rows for value in row])) == sorted(_values(lines, rows))


def _values(lines: list[str], rows: list[list[str]]) -> str:
    names = "title" + "onetwothree" * (1 if not _is_list(lines) or not rows else len(rows))
    left = list(squeezed(lines))
    for character in names:
        left.remove(character)
    return "".join(left)


def _is_list(lines: list[str]) -> bool:
    return "" in lines[1:]


@given(st.lists(st.tuples(values, values), min_size=1, max_size=5), st.integers(20, 200))
def test_facts_fit_and_are_whole(pairs: list[tuple[str, str]], width: int) -> None:
    lines = text(list(Facts("title", pairs).lines(width)))
    assert all(cells(line) <= width for line in lines)
    assert sorted(squeezed(lines)) == sorted(squeezed(["title", *(part for pair in pairs for part in pair)]))


ROWS = [("game-andromeda", "engine_unreachable", "oom", "3 m ago"), ("g", "running", "healthy", "1 d ago")]


def test_a_table_that_fits_has_a_line_a_row() -> None:
    assert text(list(plain([Grid("Games", ("game", "status", "health", "updated"), ROWS)], 80))) == [
        "",
        "Games",
        "game            status              health   updated",
        "game-andromeda  engine_unreachable  oom      3 m ago",
        "g               running             healthy  1 d ago",
    ]


def test_columns_that_do_not_fit_go_below() -> None:
    assert text(list(plain([Grid("Games", ("game", "status", "health", "updated"), ROWS)], 40)))[3:] == [
        "    health   updated",
        "game-andromeda  engine_unreachable",
        "    oom      3 m ago",
        "g               running",
        "    healthy  1 d ago",
    ]


def test_on_a_very_narrow_terminal_a_row_is_a_list() -> None:
    assert text(list(plain([Grid("Games", ("game", "status", "health", "updated"), ROWS[:1])], 26)))[2:] == [
        "",
        "game     game-andromeda",
        "status   engine_unreachabl",
        "         e",
        "health   oom",
        "updated  3 m ago",
    ]


def test_a_command_to_paste_is_never_folded() -> None:
    line = "next: gmhealth " + "word " * 40 + "end"
    assert text(list(plain([line], 40))) == [line]


@pytest.mark.parametrize(
    "part", [Prose("x " * 50, 4), Facts("t", [("n", "v " * 50), ("empty", "")]), Grid("t", ("c",), [("v " * 50,)])]
)
def test_no_line_ends_with_spaces(part: Part) -> None:
    assert [line for line in text(list(plain([part], 30))) if line.endswith(" ")] == []


def test_what_a_word_means_decides_its_style() -> None:
    *_, row = Grid("t", ("status", "why"), [("engine_unreachable", "x")]).lines(80)
    assert row[0] == Span("engine_unreachable", "bold red")
