"""Text that others wrote, which may be anything: made harmless to show and to paste, and read as what it should be."""

from __future__ import annotations

import re
import shlex
from typing import Final

_UNSAFE: Final = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # C0, DEL, C1: escape sequences, colours, titles, links
    "\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # bidi and invisible characters
    "\ud800-\udfff"  # lone surrogates, which no terminal encoding can write
    "\U000e0000-\U000e007f"  # tags: invisible copies of ASCII
    "]"
)
LONGEST: Final = 2000


def safe(value: object, limit: int = LONGEST) -> str:
    """Show `value` with every control character visible, cut at `limit` characters."""
    text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
    shown = _UNSAFE.sub(_visible, text[:limit])
    return shown if len(text) <= limit else f"{shown}… ({len(text):,} characters)"


def safe_lines(text: str, limit: int = LONGEST) -> str:
    """The same for a text that has lines of its own, such as the end of a server's log."""
    return "\n".join(safe(line, limit) for line in text.split("\n"))


def shell_word(text: str) -> str:
    """Write `text` as one word of a command line to paste; odd characters in the form that bash and zsh know."""
    if not _UNSAFE.search(text):
        return shlex.quote(text)
    quoted = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"$'{_UNSAFE.sub(_escaped, quoted)}'"


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # a byte of the command line that was no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x80 else f"\\U{code:08x}"


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


MOST_DIGITS: Final = 18
"""Digits that any 64-bit integer can hold. Far more would make `int()` slow, and from 4,300 on raise."""


def number(text: str | bytes) -> int | None:
    """Read `123`; None for anything else, also for other scripts' digits (`isdigit` takes "²", `int` does not)."""
    return int(text) if len(text) <= MOST_DIGITS and text.isascii() and text.isdigit() else None


def is_host(text: str) -> bool:
    """Whether a look-up of `text` can be asked for: "" and addresses as well, but neither "a..b" nor an endless part.

    Python encodes a name (IDNA) to look it up, and raises what is no `OSError` where it cannot.
    """
    try:
        text.encode("idna")
    except UnicodeError:
        return False
    return True
