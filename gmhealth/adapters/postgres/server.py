"""Which PostgreSQL server a session is on (design 3.1, R)."""

from __future__ import annotations

from typing import Final

import psycopg

from gmhealth.adapters.postgres.connection import Connection
from gmhealth.adapters.postgres.errors import translate
from gmhealth.core.commit_record import Server
from gmhealth.errors import Unavailable

ASKED: Final = "ask which server it is"

IN_RECOVERY = "SELECT pg_is_in_recovery()::text"

# One statement each: a function that is refused fails the whole statement it is in, whether it is called or not.
SYSTEM = "SELECT system_identifier::text FROM pg_control_system()"
# The insertion timeline: `pg_control_checkpoint()` tells a new one only after the next checkpoint, minutes later.
TIMELINE = "SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"
STARTED = "SELECT pg_postmaster_start_time()::text"


def ask_server(connection: Connection) -> Server:
    """Ask what identifies the server, as far as it tells; a standby is refused as one that takes no writes."""
    if _ask(connection, IN_RECOVERY) == "true":
        raise psycopg.errors.ReadOnlySqlTransaction("this server is a standby, not the primary")
    system, timeline, started = (_ask(connection, query) for query in (SYSTEM, TIMELINE, STARTED))
    return Server(system, timeline, started)


def _ask(connection: Connection, query: str) -> str:
    try:
        row = connection.execute(query.encode()).fetchone()
    except psycopg.Error as error:
        if isinstance(translate(error, ASKED), Unavailable):
            raise
        return ""  # a managed service that does not tell, in whatever way it refuses
    return "" if row is None or row[0] is None else str(row[0])
