"""The decoder alone: total, and of the oracle's opinion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from hypothesis import HealthCheck, given, settings

from gmhealth.core.events import HealthEvent, Reason, decode
from gmhealth.core.packed_letter import Letter, unpack
from scripts.fuzzing import oracle
from scripts.fuzzing.entries import Fields
from tests.strategies import arbitrary_entries, valid_entries


class Wrong(Exception):
    """What came out is not what the oracle says."""


def decode_all(entries: Iterable[Fields]) -> Counter[str]:
    """Decode `entries`; how many were valid, and the reasons of the others."""
    counts = Counter[str]()
    for fields in entries:
        counts[check(fields)] += 1
    return counts


def check(fields: Fields) -> str:
    """Decode one entry; `valid`, or the reason why it is not."""
    found, expected = decode((b"1-1", fields)), oracle.event(fields)
    if isinstance(found, HealthEvent):
        if expected != (found.game_id, found.type.encode()):
            raise Wrong(f"taken for {found}: {fields}")
        return "valid"
    kept = unpack(found.packed)
    if expected is not None or kept != Letter(b"1-1", found.reason.value, fields) or found.reason not in Reason:
        raise Wrong(f"refused for {found.reason}: {fields}")
    return found.reason.value


def from_hypothesis(examples: int) -> list[Fields]:
    """The entries that the test suite's strategies come to, decoded."""
    made: list[Fields] = []
    few = settings(max_examples=examples, database=None, deadline=None, suppress_health_check=list(HealthCheck))

    @few
    @given(arbitrary_entries | valid_entries().map(lambda pair: pair[0]))
    def collect(entry: tuple[bytes, Fields]) -> None:
        fields = list(entry[1])
        check(fields)
        if fields:  # XADD takes none without
            made.append(fields)

    collect()
    return made
