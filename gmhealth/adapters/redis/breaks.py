"""The last break of the stream as Redis keeps it, for those who look after the worker has gone on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from gmhealth.core.continuity import BREAKS, Break
from gmhealth.core.entry import EntryId

PLACES = frozenset({"offset", "first_left", "last_generated"})


def pack_break(broken: Break, at_ms: int) -> str:
    """Write `broken`, first seen at `at_ms`, as JSON."""
    facts = {name: str(value) if isinstance(value, EntryId) else value for name, value in _facts(broken).items()}
    return json.dumps({"kind": broken.kind, "at_ms": at_ms, **facts})


def unpack_break(packed: bytes | None) -> tuple[Break, int] | None:
    """Read what `pack_break` wrote; None for all else."""
    try:
        facts = json.loads(packed or b"")
        made: Callable[..., Break] = BREAKS[facts.pop("kind")]
        at_ms = facts.pop("at_ms")
        broken = made(**{name: _read(name, value) for name, value in facts.items()})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return (broken, at_ms) if type(at_ms) is int and 0 <= at_ms < 10**15 else None


def _facts(broken: Break) -> Mapping[str, Any]:
    # asdict() makes lists of the tuples that entry IDs are.
    return {name: getattr(broken, name) for name in asdict(broken)}


def _read(name: str, value: object) -> object:
    if name in PLACES:
        found = EntryId.parse(value) if isinstance(value, str) else None
        if found is None and (value is not None or name != "first_left"):
            raise ValueError(name)
        return found
    if value is not None and type(value) is not (bool if name == "exact" else int):
        raise ValueError(name)
    return value
