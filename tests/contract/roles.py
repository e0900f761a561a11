"""A PostgreSQL role that has the grants of design 2.4 and no others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import psycopg
from psycopg.sql import SQL, Identifier

from gmhealth.adapters.postgres import connection as postgres_connection
from gmhealth.adapters.postgres.connection import Connection

READ = SQL("GRANT SELECT (game_id, status, current_turn, engine_health, updated_at) ON runtime_records TO {}")
WRITE = SQL("GRANT UPDATE (status, engine_health, updated_at) ON runtime_records TO {}")


@contextmanager
def limited_role(pg: psycopg.Connection, *grants: SQL) -> Iterator[str]:
    """Make a role with `grants`, and drop it again."""
    name = f"limited_{uuid4().hex}"
    pg.execute(SQL("CREATE ROLE {}").format(Identifier(name)))
    for grant in grants:
        pg.execute(grant.format(Identifier(name)))
    try:
        yield name
    finally:
        pg.execute(SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(Identifier(name)))


def as_role(dsn: str, role: str) -> Connection:
    """Connect as the product does, then take the role's place."""
    connection = postgres_connection.connect(dsn, password=None, application_name="test")
    connection.execute(SQL("SET ROLE {}").format(Identifier(role)))
    return connection
