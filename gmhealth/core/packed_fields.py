"""An entry's names and values in one byte string, as a dead letter keeps them: whatever their number and their bytes.

A MessagePack array of binaries, in stream order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from msgspec import DecodeError
from msgspec.msgpack import Decoder, Encoder

_DECODER: Final = Decoder(list[bytes])

pack: Final[Callable[[Sequence[bytes]], bytes]] = Encoder().encode
"""Join names and values so that `unpack` gives them back exactly."""


def unpack(packed: bytes) -> list[bytes] | None:
    """Split what `pack` joined; None when it is not of that form."""
    try:
        return _DECODER.decode(packed)
    except DecodeError:
        return None
