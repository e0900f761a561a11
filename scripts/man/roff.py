"""Writing man(7), the macros that every system's man shows."""

from __future__ import annotations

import re
from collections.abc import Iterable
from textwrap import wrap


def text(words: str) -> str:
    """`words` as text: nothing in it is taken for a macro, and `code` becomes bold."""
    escaped = words.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("→", "\\->")
    escaped = re.sub(r"`([^`]*)`", r"\\fB\1\\fR", escaped)
    return re.sub(r"(?m)^([.'])", r"\\&\1", escaped)


def paragraph(words: str) -> str:
    """`words` as running text, in lines that a reader of the source can take in."""
    return text("\n".join(wrap(words, 76, break_long_words=False, break_on_hyphens=False)))


def argument(words: str) -> str:
    """`words` as one argument of a macro."""
    return '"' + text(words).replace('"', "\\(dq") + '"'


def bold(words: str) -> str:
    """`words` in bold."""
    return f"\\fB{text(words)}\\fR"


def section(title: str, *body: str) -> str:
    """A section, left out if it has no body."""
    lines = [line for line in body if line]
    return "\n".join([f".SH {title}", *lines]) if lines else ""


def items(pairs: Iterable[tuple[str, str]]) -> str:
    """A list of terms, already marked up, each with its text."""
    return "\n".join(f".TP\n{term}\n{paragraph(words)}" for term, words in pairs)


def example(lines: str) -> str:
    """Lines as they are typed."""
    return f".RS 4\n.nf\n{text(lines)}\n.fi\n.RE"
