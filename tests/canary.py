"""A secret to look for where none may be."""

from __future__ import annotations

import traceback

CANARY = "s3cr3t-canary"


def shown(error: BaseException) -> str:
    """All that a traceback and the command line show of an error."""
    return "".join(traceback.format_exception(error)) + getattr(error, "hint", "")
