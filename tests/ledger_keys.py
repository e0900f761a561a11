"""The keys of a consumer whose test has a Redis database of its own."""

from __future__ import annotations

from gmhealth.adapters.redis.ledger import LedgerKeys

KEYS = LedgerKeys(
    source="events",
    offset="offset",
    record="record",
    snapshots="lobby",
    dead_letters="dead",
    dropped="dropped",
    journal="journal",
    writes="writes",
    last_break="break",
    waiting="waiting",
    pause="pause",
)
