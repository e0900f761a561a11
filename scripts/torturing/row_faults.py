"""What PostgreSQL is made to do to the rows that a consumer writes: refuse some of them, or take its time.

The trigger that keeps the versions does both (`versions`), after each row and for nobody else's sessions: one that
comes before each row would change how PostgreSQL locks it, for all faults.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from scripts.torturing.effects import REFUSING
from scripts.torturing.site import Site

REFUSAL: Final = "the harness refuses "
SETUP: Final = f"""
CREATE TABLE refused (game_id text PRIMARY KEY);
CREATE TABLE slow (seconds double precision);

CREATE FUNCTION strike_row(game text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('application_name') LIKE 'gmhealth%' THEN
        PERFORM pg_sleep(seconds) FROM slow;
        IF EXISTS (SELECT FROM refused WHERE game_id = game) THEN
            RAISE EXCEPTION '{REFUSAL}%', game;
        END IF;
    END IF;
END $$;
"""


@contextmanager
def refused(site: Site, games: Sequence[str]) -> Iterator[None]:
    """Have PostgreSQL refuse the rows of `games`; a key on Redis says so for at least as long."""
    try:
        site.ask("SET", REFUSING, " ".join(games))
        site.query("INSERT INTO refused SELECT unnest(%s::text[]) ON CONFLICT DO NOTHING", [list(games)])
        yield
    finally:
        site.query("DELETE FROM refused")
        site.ask("SET", REFUSING, "")


@contextmanager
def slow(site: Site, seconds: float) -> Iterator[None]:
    """Have PostgreSQL take so long for each row."""
    try:
        site.query("INSERT INTO slow VALUES (%s)", [seconds])
        yield
    finally:
        site.query("DELETE FROM slow")
