"""Text broken into lines that fit a width, in cells of a terminal: some characters take two, some none."""

from __future__ import annotations

import unicodedata


def cells(text: str) -> int:
    """How many columns of a terminal `text` takes."""
    return len(text) if text.isascii() else sum(_cell(character) for character in text)


def fold(text: str, width: int) -> list[str]:
    """Break `text` into lines of at most `width` cells: between words where there are any."""
    lines, line = [], ""
    for word in text.split(" "):
        joined = f"{line} {word}" if line else word
        if cells(joined) <= width:
            line = joined
            continue
        if line:
            lines.append(line)
        *whole, line = _pieces(word, width)
        lines += whole
    return [*lines, line]


def _cell(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _pieces(word: str, width: int) -> list[str]:
    if cells(word) <= width:
        return [word]
    pieces, piece, used = [], "", 0
    for character in word:
        size = _cell(character)
        if used + size > width and piece:
            pieces.append(piece)
            piece, used = "", 0
        piece, used = piece + character, used + size
    return [*pieces, piece]
