"""What can go wrong, each with the exit code and the hint that a person gets.

    GmhealthError             1  something failed
    ├── ConfigError           2  a setting is missing, unknown or malformed
    ├── NotFound              3  the game, entry or range asked for does not exist
    ├── Refused               4  a safety check said no
    ├── Unavailable           5  a dependency cannot be reached for now; trying again may help
    └── Unusable              1  a dependency answers but is not what we need; trying again won't help

Expected outcomes (a conflict, an invalid entry, a moved offset) are values, not members of this tree.
"""

from __future__ import annotations

from typing import ClassVar


class GmhealthError(Exception):
    """Says what happened and to what; `hint` says what to do next.

    Messages never hold a password: they name servers by their redacted form only.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ConfigError(GmhealthError):
    """A setting is missing, unknown or malformed."""

    exit_code = 2


class NotFound(GmhealthError):
    """The game, entry or range asked for does not exist."""

    exit_code = 3


class Refused(GmhealthError):
    """A safety check said no: nothing was changed."""

    exit_code = 4


class Unavailable(GmhealthError):
    """A dependency cannot be reached for now; `consume` waits and tries again (design 3.3).

    The outcome of a write that raised this is unknown: read the state before repeating it (I5). `server` is the one
    that is waited for, and `cause` says why in a word; both are empty where it is neither server. `by_size`: less at
    once might have gone well, as with a time-out, or a connection that was cut.
    """

    exit_code = 5

    def __init__(
        self, message: str, *, hint: str = "", server: str = "", cause: str = "", by_size: bool = False
    ) -> None:
        super().__init__(message, hint=hint)
        self.server, self.cause, self.by_size = server, cause, by_size


class Unusable(GmhealthError):
    """A dependency answers but is not what we need: no table, no permission, a key of the wrong type."""
