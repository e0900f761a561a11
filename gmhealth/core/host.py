"""Host names in what an operator wrote: it may be anything."""

from __future__ import annotations


def is_host(text: str) -> bool:
    """Whether a look-up of `text` can be asked for: "" and addresses as well, but neither "a..b" nor an endless part.

    Python encodes a name (IDNA) to look it up, and raises what is no `OSError` where it cannot.
    """
    try:
        text.encode("idna")
    except UnicodeError:
        return False
    return True
