"""Settling is a decision over what was found: a table over all that can be (design 3.4)."""

from __future__ import annotations

from itertools import product

import pytest

from gmhealth.core.commit_record import CommitRecord, Server
from gmhealth.core.continuity import RolledBack
from gmhealth.core.entry import START, EntryId
from gmhealth.worker.ports import Saved
from gmhealth.worker.settle import Course, Unfit, decide, went_back

OURS = Server("1", "0000000A", "x")
OTHER, OLD, PROMOTED, RESTARTED = (
    Server("2", "0000000A", "x"),
    Server("1", "00000009", "x"),
    Server("1", "0000000B", "x"),
    Server("1", "0000000A", "y"),
)
FIVE, NINE = EntryId(5, 0), EntryId(9, 0)


def record(offset: str = "5-0", *, verified: bool = True, n: int = 3) -> CommitRecord:
    return CommitRecord(n, "w", offset, 17, "2026-01-01 00:00:00+00", OURS, verified)


def saved(text: str | None, found: CommitRecord | None) -> Saved:
    return Saved(text, b"" if found is None else found.pack(), EntryId.parse(text or "") or START, found)


@pytest.mark.parametrize("text", [None, "0-0", "5-0"])
@pytest.mark.parametrize("server", [OURS, OTHER, OLD, PROMOTED, RESTARTED, Server()])
def test_without_a_record_one_is_made_first_and_everything_is_verified(text: str | None, server: Server) -> None:
    course = decide(saved(text, None), server)
    assert course == Course(
        EntryId.parse(text or "") or START, None, prepare=True, verify=True, restore=False, moved_from=None
    )


OFFSETS = {  # saved, in the record: where to go on, entries read, whether to restore, moved from where
    ("5-0", "5-0"): (FIVE, 17, False, None),
    ("5", "5-0"): (FIVE, 17, False, None),
    ("9-0", "5-0"): (NINE, None, False, FIVE),
    ("5-0", "9-0"): (FIVE, None, False, NINE),
    ("0-0", "5-0"): (START, None, False, FIVE),
    ("5-0", ""): (FIVE, None, False, START),
    (None, "5-0"): (FIVE, 17, True, None),
    (None, ""): (START, 17, False, None),
}
SERVERS = {OURS: False, Server(): False, PROMOTED: True, RESTARTED: True}  # ours, and whether it may lack writes


@pytest.mark.parametrize(("offsets", "server", "verified"), [*product(OFFSETS, SERVERS, [True, False])])
def test_beside_a_record(offsets: tuple[str | None, str], server: Server, verified: bool) -> None:
    text, left = offsets
    offset, entries_read, restore, moved_from = OFFSETS[offsets]
    verify = SERVERS[server] or not verified
    assert decide(saved(text, record(left, verified=verified)), server) == Course(
        offset, entries_read, prepare=verify, verify=verify, restore=restore, moved_from=moved_from
    )


@pytest.mark.parametrize(("offsets", "verified"), [*product(OFFSETS, [True, False])])
def test_a_server_that_is_not_to_be_written_to(offsets: tuple[str | None, str], verified: bool) -> None:
    found = saved(offsets[0], record(offsets[1], verified=verified))
    assert decide(found, OTHER) is Unfit.OTHER_CLUSTER
    assert decide(found, OLD) is Unfit.OLD_PRIMARY


@pytest.mark.parametrize(
    ("seen", "found", "broken"),
    [
        (None, None, None),
        (None, record(n=1), None),
        (record(n=3), record(n=3), None),
        (record(n=3), record(n=4), None),
        (record("9-0", n=3), record("5-0", n=2), RolledBack(NINE, FIVE)),
        (record("9-0", n=3), None, RolledBack(NINE, None)),
        (record("", n=3), record("", n=1), RolledBack(START, None)),
    ],
)
def test_a_number_that_is_lower_than_one_that_was_seen_means_that_redis_went_back(
    seen: CommitRecord | None, found: CommitRecord | None, broken: RolledBack | None
) -> None:
    assert went_back(seen, found) == broken
