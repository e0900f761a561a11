"""The word for how consuming goes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmhealth.core.entry import EntryId
from gmhealth.core.lag_state import BEHIND_AFTER_S, STALLED_AFTER_S, WINDOW_S, Health, LagSample, evaluate, recent

OLD = BEHIND_AFTER_S + 1


def look(at_s: float, offset: int, oldest_s: float = 0.0, *, consumed: bool = True) -> LagSample:
    return LagSample(at_s, EntryId(offset, 0), oldest_s, consumed)


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([look(0, 5)], Health.OK),
        ([look(0, 5, BEHIND_AFTER_S)], Health.OK),
        ([look(0, 5, OLD)], Health.BEHIND),
        ([look(0, 5, OLD), look(STALLED_AFTER_S, 6, OLD)], Health.BEHIND),
        ([look(0, 5, OLD), look(STALLED_AFTER_S, 5, OLD)], Health.STALLED),
        ([look(0, 5, OLD), look(STALLED_AFTER_S - 0.1, 5, OLD)], Health.BEHIND),
        ([look(0, 5), look(50, 5, 9)], Health.OK),
        ([look(0, 5, OLD), look(10, 5, OLD), look(11, 6, OLD)], Health.BEHIND),
        ([look(0, 4, OLD), look(1, 5, OLD), look(4, 5, OLD)], Health.STALLED),
        ([look(0, 5), look(5, 3, 1)], Health.REWOUND),
        ([look(0, 5), look(5, 3, OLD), look(9, 3, OLD)], Health.REWOUND),
        ([look(0, 5), look(5, 3, 1), look(6, 4, 1)], Health.REWOUND),
        ([look(0, 5), look(5, 3, 1), look(6, 5)], Health.OK),
        ([look(0, 5), look(1, 5, consumed=False)], Health.STOPPED),
        ([look(0, 5, consumed=False), look(1, 5)], Health.OK),
    ],
)
def test_a_window_is_judged(samples: list[LagSample], expected: Health) -> None:
    assert evaluate(samples) is expected


def test_a_window_ends() -> None:
    samples = [look(0, 9), look(1, 5, 1), look(2 + WINDOW_S, 6, 1)]
    assert recent(samples) == samples[2:]
    assert evaluate(recent(samples)) is Health.OK


samples = st.lists(
    st.builds(look, st.just(0.0), st.integers(0, 3), st.sampled_from([0.0, 1.0, OLD]), consumed=st.booleans()),
    min_size=1,
).map(lambda found: [each._replace(at_s=float(at)) for at, each in enumerate(found)])


@given(samples)
def test_nothing_unread_and_somebody_at_work_is_ok_whatever_was_before(window: list[LagSample]) -> None:
    assert evaluate([*window, look(len(window), 9)]) is Health.OK


@given(samples)
def test_only_a_missing_consumer_is_stopped(window: list[LagSample]) -> None:
    assert (evaluate(window) is Health.STOPPED) == (not window[-1].consumed)
