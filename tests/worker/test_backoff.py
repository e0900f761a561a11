"""Waits double up to the cap, shortened by up to half."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmhealth.worker.outages import Backoff


@pytest.mark.parametrize(("failures", "seconds"), [(1, 0.1), (2, 0.2), (3, 0.4), (6, 3.2), (7, 5.0), (8, 5.0)])
def test_waits_double_up_to_the_cap(failures: int, seconds: float) -> None:
    assert Backoff(first_s=0.1, cap_s=5.0).delay(failures, 0.0) == pytest.approx(seconds)


@given(st.integers(1, 10**9), st.floats(0, 1))
def test_a_wait_is_half_of_the_full_one_at_least_and_never_more(failures: int, roll: float) -> None:
    backoff = Backoff(first_s=0.25, cap_s=8.0)
    full = backoff.delay(failures, 0.0)
    assert 0.25 <= full <= 8.0
    assert full / 2 <= backoff.delay(failures, roll) <= full


def test_the_roll_decides_between_them() -> None:
    backoff = Backoff(first_s=1.0, cap_s=1.0)
    assert [backoff.delay(1, roll) for roll in (0.0, 0.5, 1.0)] == [1.0, 0.75, 0.5]
