"""A replay is told from a consumer by the name of its session, even where an outage has taken the room for it."""

from __future__ import annotations

import pytest

from gmhealth.core.outage import Outage, pack_outage, unpack_outage
from gmhealth.operations.leader import Holder, holder_named

OUTAGE = Outage("Redis", "AVeryLongNameOfAnErrorThatTakesAllTheRoom", 1_795_449_364, 1_000_000)


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("role", ["consume", "replay"])
def test_a_replay_is_told_from_a_consumer(role: str, cut: bool) -> None:
    name = f"gmhealth {role} gm1.example.com:12345"
    shown = unpack_outage(pack_outage(name, OUTAGE, 63), "Redis")[0] if cut else name
    assert (shown != name) is cut
    assert holder_named(shown) == (Holder(None, shown) if role == "replay" else Holder(shown, None))


def test_without_a_holder_it_is_neither() -> None:
    assert holder_named(None) == Holder(None, None)
