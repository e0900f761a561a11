"""A mark tells which commits it comes after: who has seen one knows from any later one whether it is still there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmhealth.core.mark import WORKERS, includes, lacks, latest, mark_of, says_read

FEW = [f"host:{number}" for number in range(WORKERS)]
MANY = [f"host:{number}" for number in range(2 * WORKERS)]


class Line:
    """Commits of some workers, each on top of the one before; no worker uses a number twice."""

    def __init__(self) -> None:
        self._made = Counter[str]()
        self.marks: list[str | None] = [None]

    def go_on(self, names: Sequence[str]) -> None:
        """One commit each."""
        for name in names:
            self._made[name] += 1
            self.marks.append(mark_of(name, self._made[name], read=True, after=self.marks[-1]))


@given(st.lists(st.sampled_from(MANY), max_size=60), st.data())
def test_what_comes_after_it_lacks_nothing(names: Sequence[str], data: st.DataObject) -> None:
    line = Line()
    line.go_on(names)
    first = data.draw(st.integers(0, len(names)))
    assert not lacks(line.marks[-1], line.marks[first])


@given(st.lists(st.sampled_from(MANY), min_size=1, max_size=60), st.lists(st.sampled_from(FEW), max_size=9), st.data())
def test_whatever_others_commit_after_a_failover_does_not_hide_it(
    names: Sequence[str], after: Sequence[str], data: st.DataObject
) -> None:
    """Who commits again knows by itself what it has lost; the others need not know of that."""
    line = Line()
    line.go_on(names)
    left = data.draw(st.integers(0, len(names) - 1))
    seen = line.marks[-1]
    del line.marks[left + 1 :]
    line.go_on([name for name in after if name != names[-1]])
    assert lacks(line.marks[-1], seen)


def test_one_more_name_than_a_mark_holds_hides_it_no_better() -> None:
    """Where it is full, a name that is missing need not be a loss."""
    line = Line()
    line.go_on([*MANY, "y", "x"])
    seen = line.marks.pop()
    line.go_on("y")
    assert lacks(line.marks[-1], seen)


@given(st.lists(st.sampled_from(FEW), max_size=9), st.integers(1, 9))
def test_a_commit_is_found_below_those_of_others(others: Sequence[str], number: int) -> None:
    mine = mark_of("mine", number, read=True, after="x#1,mine~3")
    mark = mine
    for at, name in enumerate(others):
        mark = mark_of(name, at, read=True, after=mark)
    assert includes(mark, mine)
    assert not includes(mark, mark_of("mine", number + 1, read=True, after=None))
    assert not includes(None, mine)
    assert latest(mark) == (f"{others[-1]}#{len(others) - 1}" if others else f"mine#{number}")


@given(st.integers(2, 40), st.integers(1, WORKERS - 2))
def test_nor_do_many_workers_that_came_and_went(workers: int, lost: int) -> None:
    line = Line()
    line.go_on([f"host:{number}" for number in range(workers)])
    seen = line.marks[-1]
    del line.marks[-min(lost, workers) :]
    assert lacks(line.marks[-1], seen)


@pytest.mark.parametrize("seen", [None, "", "what somebody wrote", "host", "host#x"])
def test_where_the_marks_do_not_say_nothing_is_lost(seen: str | None) -> None:
    assert not lacks("host#3", seen)
    assert mark_of("host", 1, read=True, after=seen) == "host#1"


@pytest.mark.parametrize(("first", "second"), [(True, False), (False, True)])
def test_only_the_last_commit_says_whether_its_offset_was_read(first: bool, second: bool) -> None:
    mark = mark_of("a", 2, read=second, after=mark_of("b", 7, read=first, after=None))
    assert mark == ("a#2,b~7" if second else "a~2,b#7")
    assert says_read(mark) is second
