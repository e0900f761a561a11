"""Text from a stream or a row, made harmless for a terminal: it may be hostile."""

from __future__ import annotations

import re
from typing import Final

_UNSAFE: Final = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # C0, DEL, C1: escape sequences, colours, titles, links
    "\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff"  # bidi and invisible characters, line separators
    "\ud800-\udfff"  # lone surrogates, which no terminal encoding can write
    "]"
)
LONGEST: Final = 2000


def safe(value: object, limit: int = LONGEST) -> str:
    """Show `value` with every control character visible, cut at `limit` characters. Rich markup is not touched."""
    text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
    shown = _UNSAFE.sub(_visible, text[:limit])
    return shown if len(text) <= limit else f"{shown}… ({len(text):,} characters)"


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
