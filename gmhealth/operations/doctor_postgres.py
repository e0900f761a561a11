"""What `gmhealth doctor` looks at in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from gmhealth.operations.findings import judged, ok
from gmhealth.operations.models import CheckView

if TYPE_CHECKING:
    from gmhealth.adapters.postgres.queries import Column
    from gmhealth.operations.session import Session

COLUMNS: Final = {
    "game_id": ("text", "character varying"),
    "status": ("text", "character varying"),
    "current_turn": ("integer",),
    "engine_health": ("text", "character varying"),
    "updated_at": ("timestamp with time zone",),
}
WRITTEN: Final = ("status", "engine_health", "updated_at")


def postgres_server(opened: Session) -> Iterator[CheckView]:
    """Its version, whether it takes writes, and whether it can hold every game's ID."""
    found = opened.parts.games.checks(
        {
            "version": "SELECT current_setting('server_version')",
            "number": "SELECT current_setting('server_version_num')::integer",
            "recovery": "SELECT pg_is_in_recovery()",
            "encoding": "SELECT current_setting('server_encoding')",
        }
    )
    yield judged("PostgreSQL", found["number"] >= 140000, found["version"], "14 or newer ends frozen sessions")
    standby = found["recovery"]
    yield judged("PostgreSQL primary", not standby, "no, a standby" if standby else "yes", "connect to the primary")
    whole = found["encoding"] in ("UTF8", "SQL_ASCII")
    hint = "an ID that it cannot hold is of no row: its events only count as those of games without a row"
    yield judged("PostgreSQL encoding", whole, found["encoding"], hint, bad="warning")


def postgres_session(opened: Session) -> Iterator[CheckView]:
    """Whether a session is ours alone, which the leader lock rests on."""
    shared = opened.parts.games.shares_sessions()
    hint = "the leader lock needs a direct connection, or a pooler in session mode"
    yield judged("PostgreSQL session", not shared, "shared with others by a pooler" if shared else "our own", hint)


def postgres_table(opened: Session) -> Iterator[CheckView]:
    """Game Master's table: its columns, and what this role may do with each."""
    table = opened.settings.postgres_table
    columns = opened.parts.games.columns()
    hint = "Game Master's migrations make it: check database, search_path and GMHEALTH_POSTGRES_TABLE"
    count = f"{len(columns)} columns" if columns else "not there"
    yield judged(f"table {table}", bool(columns), count, hint)
    role = opened.parts.games.checks({"role": "SELECT quote_ident(current_user)"})["role"]
    for name, types in COLUMNS.items() if columns else ():
        yield _column(name, types, columns.get(name), f"ON {table} TO {role}")


def _column(name: str, types: tuple[str, ...], found: Column | None, grant: str) -> CheckView:
    title, hint = f"column {name}", f"it must be {types[0]}: is this another schema?"
    if found is None:
        return CheckView(name=title, result="fail", found="not there", hint=hint)
    if found.type not in types:
        return CheckView(name=title, result="fail", found=found.type, hint=hint)
    missing = ["SELECT"] * (not found.may_select) + ["UPDATE"] * (name in WRITTEN and not found.may_update)
    if missing:
        grants = ", ".join(f"{each} ({name})" for each in missing)
        hint = f"GRANT {grants} {grant};"
        return CheckView(name=title, result="fail", found=f"no {' and no '.join(missing)} on it", hint=hint)
    return ok(title, f"{found.type}, may {'read and write' if name in WRITTEN else 'read'}")
