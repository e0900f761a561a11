"""A dead letter in one byte string: an entry's ID, why it is one, and its names and values as they are.

MessagePack: an array of the ID (a binary), the reason (a text), an array of the names and values in stream order
(binaries) and, if there is one, a detail (a text). Were they fields of their own, a letter would take a fifth more of
Redis's time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from msgspec import DecodeError
from msgspec.msgpack import Decoder, Encoder


class Letter(NamedTuple):
    """What a dead letter says."""

    source_id: bytes
    reason: str
    fields: list[bytes]
    detail: str = ""


_ENCODE: Final = Encoder().encode
_DECODER: Final = Decoder(Letter)


def pack(source_id: bytes, reason: str, fields: Sequence[bytes], detail: str = "") -> bytes:
    """Join them so that `unpack` gives them back exactly."""
    return _ENCODE((source_id, reason, fields, detail) if detail else (source_id, reason, fields))


def unpack(packed: bytes) -> Letter | None:
    """Split what `pack` joined; None when it is not of that form."""
    try:
        return _DECODER.decode(packed)
    except (DecodeError, UnicodeDecodeError):  # the second is what msgspec raises for a text that is none
        return None
