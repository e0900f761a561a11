"""What a worker waits for, in a line short enough for the places where it can still be said."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_SAID: Final = re.compile(r"(.*) !(\S*) ([0-9]{1,12}) ([0-9]{1,12})")
_END: Final = 8
"""Characters at the end of a name that are kept when it is cut: the process ID."""


@dataclass(frozen=True, slots=True)
class Outage:
    """A server does not do what is asked of it: why, in a word, since when, and how many tries have failed.

    `detail` is the whole error; not every place has room for it.
    """

    server: str
    cause: str
    since_s: int
    tries: int
    detail: str = ""


def pack_outage(name: str, outage: Outage, most: int) -> str:
    """What the worker called `name` waits for, in at most `most` (from 40) characters, cutting the name first."""
    figures = f" {outage.since_s} {outage.tries}"
    cause = f" !{outage.cause}"[: most - 20 - len(figures)]
    room = most - len(cause) - len(figures)
    if len(name) > room:
        name = f"{name[: room - _END - 1]}~{name[-_END:]}"
    return name + cause + figures


def unpack_outage(text: str, server: str) -> tuple[str, Outage | None]:
    """Split what `pack_outage` made, perhaps with a detail in a line of its own, into name and outage of `server`.

    Without an outage `text` is a name.
    """
    line, _, detail = text.partition("\n")
    match = _SAID.fullmatch(line)
    if match is None:
        return text, None
    return match[1], Outage(server, match[2], int(match[3]), int(match[4]), detail)
