"""Who holds the leader lock: the live consumer, or a replay, which follows no offset (design 3.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from gmhealth.bootstrap import Parts

REPLAY: Final = "gmhealth re"
"""How the name of a replay's session begins, as far as an outage leaves room for it (`core.outage.pack_outage`)."""


class Holder(NamedTuple):
    """One of both by its name, or neither."""

    consumer: str | None
    replay: str | None


def holder(parts: Parts) -> Holder:
    """Look who holds the lock."""
    return holder_named(parts.rows.holder())


def holder_named(name: str | None) -> Holder:
    """Tell a replay from a consumer."""
    return Holder(None, name) if name is not None and name.startswith(REPLAY) else Holder(name, None)


def consumer_text(consumer: str | None, replay: str | None) -> str:
    """Name the consumer, or say why there is none."""
    if consumer is not None:
        return consumer
    return f"none: a replay holds the leader lock, {replay}" if replay else "none: nobody holds the leader lock"
