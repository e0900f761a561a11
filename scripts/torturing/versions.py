"""What really happened to the rows, in order: every version of each, kept by a trigger (in the harness's table)."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from scripts.torturing import row_faults
from scripts.torturing.feed import COLD, game_name
from scripts.torturing.site import Site

SETUP: Final = """
INSERT INTO runtime_records (
    game_id, status, current_turn, engine_endpoint, current_image_ref, current_engine_version, turn_schedule,
    created_at, updated_at)
SELECT game_id, 'running', 1, 'http://engine:8080', 'engine:1', '1', '0 18 * * *', now(), now()
  FROM unnest(%s::text[]) AS game_id;
"""
RECORD: Final = """
CREATE TABLE versions (
    n bigserial PRIMARY KEY, at double precision, game_id text, by text,
    old_status text, old_turn integer, status text, turn integer, health text, updated_us bigint,
    transaction text DEFAULT pg_current_xact_id()::text);

CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM strike_row(NEW.game_id);
    INSERT INTO versions (at, game_id, by, old_status, old_turn, status, turn, health, updated_us) VALUES (
        extract(epoch FROM clock_timestamp()), NEW.game_id, current_setting('application_name'),
        OLD.status, OLD.current_turn, NEW.status, NEW.current_turn, NEW.engine_health,
        extract(epoch FROM NEW.updated_at) * 1000000);
    RETURN NULL;
END $$;

CREATE TRIGGER keep AFTER UPDATE ON runtime_records FOR EACH ROW EXECUTE FUNCTION keep();
"""
READ: Final = """
SELECT n, at, game_id, by, old_status, old_turn, status, turn, health, updated_us FROM versions WHERE n > %s ORDER BY n
"""
LOSS: Final = "loss"
"""Stands where the writer does: PostgreSQL has the row of some time ago again."""
_OURS: Final = re.compile(r"gmhealth [^!]*:(\d+)(?: !.*)?")  # what it waits for may stand behind its name


class Row(NamedTuple):
    """What gmhealth knows of a row."""

    status: str
    turn: int
    health: str


class Version(NamedTuple):
    """A row after one change, and what it was before; numbers are given while the row is locked.

    `at`: by the clock of the harness; `updated_us`: what the row says, in Unix microseconds.
    """

    n: int
    at: float
    game_id: str
    by: str
    old_status: str
    old_turn: int
    status: str
    turn: int
    health: str
    updated_us: int

    @property
    def pid(self) -> int | None:
        """The consumer process that wrote it; None for another writer."""
        found = _OURS.fullmatch(self.by)
        return int(found[1]) if found else None

    @property
    def row(self) -> Row:
        """The row as it was then."""
        return Row(self.status, self.turn, self.health)

    @property
    def swap(self) -> tuple[str, str]:
        """The status before and after."""
        return self.old_status, self.status

    @property
    def moved(self) -> bool:
        """Whether the status was changed."""
        return self.status != self.old_status


def prepare(where: Site) -> None:
    """Make the games and the record of their versions."""
    where.query("DELETE FROM runtime_records")
    where.query(SETUP, [[game_name(game) for game in range(COLD)]])
    where.query(row_faults.SETUP + RECORD)


def rows(where: Site) -> dict[str, Row]:
    """Give all rows as they are."""
    found = where.query("SELECT game_id, status, current_turn, engine_health FROM runtime_records")
    return {game_id: Row(*rest) for game_id, *rest in found}


def after(where: Site, n: int) -> list[Version]:
    """Give the versions that were made after the `n`-th."""
    return [Version(*row) for row in where.query(READ, [n])]
