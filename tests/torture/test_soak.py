"""`scripts/soak`: what grows is noticed, and a soak of seconds runs."""

from __future__ import annotations

import os

import pytest

from scripts.torturing import soak
from scripts.torturing.soak import GROWTH_KIB, Sample, judge, sample


def samples(kib_a_sample: float, *, files: int = 0) -> list[Sample]:
    """A hundred looks, with noise, after a warm-up in which much grows."""
    warm = [Sample(at, 20_000 + 1_500 * int(at), 8) for at in range(20)]
    noise = (0, 400, -300)
    return warm + [
        Sample(at, int(50_000 + kib_a_sample * at) + noise[at % 3], 8 + at % 2 + files * (at > 80))
        for at in range(20, 100)
    ]


def test_what_stays_is_flat() -> None:
    assert judge(samples(0)).flat


def test_memory_that_grows_is_noticed() -> None:
    assert not judge(samples(1.2 * GROWTH_KIB / 80)).flat


def test_files_that_are_not_closed_are_noticed() -> None:
    assert not judge(samples(0, files=2)).flat


def test_a_process_is_looked_at_and_one_that_is_gone_is_not() -> None:
    found = sample(os.getpid(), 1.0)
    assert found is not None
    assert found.kib > 1000
    assert found.files > 2
    assert sample(2**22 + 1, 1.0) is None


def test_a_short_soak_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(soak, "SAMPLE_S", 0.1)
    # It is still warming up, and a look may fall into a connect, which has a file more open.
    monkeypatch.setattr(soak, "judge", lambda samples: judge(samples)._replace(growth_kib=0, files_before=99))
    assert soak.main(["--minutes", "0.05", "--calm", "0.1", "--seed", "5"]) == 0
    assert "no violation" in capsys.readouterr().out
