"""Writing rows so that one which PostgreSQL refuses stops no other one (design 3.1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from gmhealth.core.plan import NetEffect, Refusal, Written
from gmhealth.errors import Unusable
from gmhealth.worker.ports import Meanwhile, Rows, nothing

NOT_UPDATED: Final = Refusal(
    "the row was found and not updated: a row-level security policy without UPDATE, or a trigger that returns NULL"
)
FEWEST: Final = 20
"""Rows that tell whether it is the table that is at fault."""
MOST: Final = 100
"""Rows that are remembered for it."""


class Applied(NamedTuple):
    """What one or more writes found and left, and why the rows of some games are refused.

    `at`: PostgreSQL's time of the last one as text, "" where no row was written.
    """

    at: str
    rows: Mapping[str, Written]
    refused: Mapping[str, Refusal]


class Isolation:
    """Writes all rows that PostgreSQL takes, and stops where it refuses most, as then it is the table."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._recent: dict[str, bool] = {}  # the last games, oldest first, and whether their row was refused

    def write(
        self, effects: Sequence[NetEffect], since: str, meanwhile: Meanwhile = nothing, *, again: bool = False
    ) -> Applied:
        """Write `effects`, halving the games of what is refused until each refused row stands alone.

        `again`: a row that is found and not updated is refused; otherwise it is written once more first, as it may
        have come into being meanwhile. Raises `Unusable` where most rows are refused.
        """
        wrote = self._rows.write(effects, since, meanwhile)
        if wrote.refusal is not None:
            if len(effects) == 1:
                return self._refused(effects, wrote.refusal)
            # Not the first half and the rest: refused games may have names in common, and what is counted is a sample.
            return _joined([self.write(half, since, again=again) for half in (effects[::2], effects[1::2])])
        self._count(wrote.rows, refused=False)
        applied = Applied(wrote.at, wrote.rows, {})
        if not wrote.skipped:
            return applied
        skipped = [effect for effect in effects if effect.game_id in wrote.skipped]
        rest = self._refused(skipped, NOT_UPDATED) if again else self.write(skipped, since, again=True)
        return _joined([applied, rest])

    def _refused(self, effects: Sequence[NetEffect], why: Refusal) -> Applied:
        games = [effect.game_id for effect in effects]
        self._count(games, refused=True)
        counted, refused = len(self._recent), sum(self._recent.values())
        if counted >= FEWEST and 2 * refused > counted:
            code = f" (SQLSTATE {why.sqlstate})" if why.sqlstate else ""
            raise Unusable(
                f"PostgreSQL refused {refused} of the last {counted} rows, that of {games[-1]} because: {why.reason}"
                f"{code}; this batch was not committed",
                hint="mend the table, and start again; what was refused before is in `gmhealth dead-letter list`",
            )
        return Applied("", {}, dict.fromkeys(games, why))

    def _count(self, games: Iterable[str], *, refused: bool) -> None:
        last = dict.fromkeys([*games][-MOST:], refused)
        kept = {game_id: was for game_id, was in self._recent.items() if game_id not in last} | last
        self._recent = dict([*kept.items()][-MOST:])


def _joined(parts: Sequence[Applied]) -> Applied:
    """Make one of several writes, whose times differ."""
    rows = {
        game_id: written if written.updated_at else written._replace(updated_at=part.at)
        for part in parts
        for game_id, written in part.rows.items()
    }
    refused = {game_id: why for part in parts for game_id, why in part.refused.items()}
    return Applied(max(part.at for part in parts), rows, refused)
