"""Netstrings: a few byte strings in one, byte for byte (D. J. Bernstein, 1997): `3:abc,0:,`.

A dead letter keeps an entry's names and values so, as one field: whatever their number and whatever their bytes.
"""

from __future__ import annotations

from collections.abc import Sequence


def pack(parts: Sequence[bytes]) -> bytes:
    """Join `parts` so that `unpack` gives them back exactly."""
    # All lengths at once, then all parts: formatting each by itself takes half as long again.
    return b"%d:%%b," * len(parts) % tuple(map(len, parts)) % tuple(parts)


def unpack(packed: bytes) -> list[bytes] | None:
    """Split what `pack` joined; None when it is not of that form."""
    parts: list[bytes] = []
    at = 0
    while at < len(packed):
        colon = packed.find(b":", at, at + 12)
        digits = packed[at:colon]
        if colon < 0 or not digits.isdigit():
            return None
        end = colon + 1 + int(digits)
        if packed[end : end + 1] != b",":
            return None
        parts.append(packed[colon + 1 : end])
        at = end + 1
    return parts
