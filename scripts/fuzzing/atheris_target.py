"""Coverage-guided fuzzing of `decode` with Atheris, which is no dependency of this repository.

    .venv/bin/pip install atheris
    .venv/bin/python -m scripts.fuzzing.atheris_target -max_total_time=60

An input is the names and values of an entry: each is a byte with its length and so many bytes, or, from `WORDS_FROM`
on, one byte for a word that chance would not come upon.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any, Final

from scripts.fuzzing import oracle
from scripts.fuzzing.entries import NAMES, ODD

WORDS: Final = [*NAMES, *oracle.TYPES, *ODD]
WORDS_FROM: Final = 256 - len(WORDS)


def split(data: bytes) -> list[bytes]:
    """Read an input as names and values."""
    parts, at = [], 0
    while at < len(data):
        word = data[at] - WORDS_FROM
        end = at + 1 + (data[at] if word < 0 else 0)
        parts.append(data[at + 1 : end] if word < 0 else WORDS[word])
        at = end
    return parts if len(parts) % 2 == 0 else [*parts, b""]


def check(data: bytes) -> None:
    """Decode one input: nothing is raised, and the oracle agrees."""
    from gmhealth.core.events import HealthEvent, decode  # noqa: PLC0415  # imported when it can be instrumented
    from gmhealth.core.packed_letter import Letter, unpack  # noqa: PLC0415  # the same

    fields = split(data)
    found, expected = decode((b"1-1", fields)), oracle.event(fields)
    if isinstance(found, HealthEvent):
        assert expected == (found.game_id, found.type.encode()), fields
    else:
        assert expected is None, fields
        assert unpack(found.packed) == Letter(b"1-1", found.reason.value, fields)


def main() -> None:
    """Run until Atheris has enough."""
    try:
        atheris: Any = importlib.import_module("atheris")
    except ImportError:
        sys.exit("atheris is not installed: pip install atheris")
    with atheris.instrument_imports(include=["gmhealth.core"]):
        importlib.import_module("gmhealth.core.events")
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
