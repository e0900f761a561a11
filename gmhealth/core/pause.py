"""A pause: what the key holds by which every consumer is asked to hold (design 2.6, 3.6)."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import DecodeError, Meta, Struct
from msgspec.json import Decoder, encode

from gmhealth.core.events import MAX_OCCURRED_AT_MS


class Pause(Struct, frozen=True):
    """Who pauses the consumers, why, and until when (Unix milliseconds; None where no end is known).

    It lasts as long as its key, whatever `until_ms` says. `token` is unique to a pause: with the same one it is the
    same pause, whose key was renewed.
    """

    who: str
    why: str
    until_ms: Annotated[int, Meta(ge=0, le=MAX_OCCURRED_AT_MS)] | None
    token: str

    def pack(self) -> bytes:
        """The pause as it is stored."""
        return encode(self)


UNREADABLE: Final = Pause("somebody unknown", "", None, "")
"""What a key holds that somebody else has set: consumers hold all the same, as that is the safe side."""
_DECODER: Final = Decoder(Pause)


def unpack(packed: bytes) -> Pause:
    """Read what `pack` made; `UNREADABLE` for all else."""
    try:
        return _DECODER.decode(packed)
    except (DecodeError, UnicodeDecodeError, RecursionError):
        return UNREADABLE
