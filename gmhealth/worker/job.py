"""What a worker is asked to do."""

from __future__ import annotations

from dataclasses import dataclass

from gmhealth.core.entry import EntryId


@dataclass(frozen=True, slots=True)
class Job:
    """What to run: from where, to where, and with which effects.

    `start` None: after the saved offset, which then moves with every batch. `until` None: for ever. `rate`: at most so
    many entries a second. `tries`: give up after so many failures in a row; None: never.
    """

    start: EntryId | None = None
    until: EntryId | None = None
    batch_size: int = 10_000
    block_ms: int = 500
    games: frozenset[str] | None = None
    swap: bool = True
    publish: bool = True
    rate: float | None = None
    tries: int | None = None

    @property
    def moves_offset(self) -> bool:
        """Whether each batch saves its last ID; a replay never does (design 4)."""
        return self.start is None

    @property
    def name(self) -> str:
        """What the journal calls it."""
        return "consume" if self.moves_offset else "replay"
