"""What PostgreSQL's errors mean (design 3.3)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import psycopg

from gmhealth.core.plan import Refusal
from gmhealth.errors import GmhealthError, Unavailable, Unusable

TRANSIENT_SQLSTATES: Final = (
    "08",  # connection exception
    "25006",  # read-only transaction: this is no longer the primary
    "25P03",  # idle in transaction for too long: we were frozen
    "25P04",  # transaction for too long
    "40",  # serialization failure, deadlock
    "53",  # insufficient resources: connections, memory, disk
    "55006",  # object in use
    "55P03",  # lock not available
    "57",  # admin shutdown, crash, starting up, cancelled, idle session
    "58",  # system error outside PostgreSQL
)
"""SQLSTATEs, or their first characters, that may pass. None at all means that the connection is gone."""

REFUSED_ROW: Final = ("22", "23", "44", "P0")
"""Classes of SQLSTATEs that tell of one row: data, constraints, a view's check, and what a trigger raises."""
CANCELLED: Final = "57014"
"""As by `statement_timeout`."""
STALE_PLAN: Final = "RevalidateCachedQuery"
"""Where PostgreSQL says, in whatever language, that what this session has prepared was for a column's old type. It says
so as 0A000, as of what it cannot do at all; a new session can.
"""

BAD_OPTION: Final = "check the options of GMHEALTH_POSTGRES_DSN, and PG… in the environment"
PERMANENT_CONNECT: Final[Mapping[str, str]] = {
    "password authentication failed": "check the user and the password of GMHEALTH_POSTGRES_DSN",
    "no password supplied": "put the password into GMHEALTH_POSTGRES_PASSWORD_FILE",
    "pg_hba.conf": "the server does not admit this user from here: its pg_hba.conf decides",
    "certificate": "check sslrootcert, sslcert and sslkey of GMHEALTH_POSTGRES_DSN",
    "is not permitted to log in": "make a login in this role, which has its grants: CREATE ROLE … LOGIN IN ROLE …",
    "permission denied for database": "GRANT CONNECT ON DATABASE … TO this user, or check the database in the DSN",
    "does not support SSL": "turn TLS on at the server, or check sslmode in GMHEALTH_POSTGRES_DSN",
    "private key file": "check sslkey of GMHEALTH_POSTGRES_DSN: the file, and that its mode is 0600",
    "definition of service": "check service= of GMHEALTH_POSTGRES_DSN, and the service file",
    ' value: "': BAD_OPTION,
    "invalid port number": BAD_OPTION,
    "invalid integer value": BAD_OPTION,
    "bad value for connect_timeout": BAD_OPTION,
    "does not exist": "check the user and the database of GMHEALTH_POSTGRES_DSN",
}
"""libpq gives no SQLSTATE for a refused connection, only words (libpq manual, PQerrorMessage), and the server's own in
its language (lc_messages). In another than English `consume` waits and repeats them, as for a server that is away.
"""

HINTS: Final[Mapping[str, str]] = {
    "42P01": "Game Master's migrations make this table: check database, search_path and GMHEALTH_POSTGRES_TABLE",
    "42703": "this table is not Game Master's: check GMHEALTH_POSTGRES_TABLE, or the version of its schema",
    "42501": "grant this role what gmhealth-operations(7), PERMISSIONS, lists",
    "3F000": "check the schema in GMHEALTH_POSTGRES_TABLE",
}
ASK_DOCTOR: Final = "`gmhealth doctor` looks at both servers"
_HOST: Final = re.compile(r"^- (host: '[^']*', port: [^,]*|host: None, port: [^,]*, hostaddr: '[^']*')", re.MULTILINE)
"""What psycopg, which tries the hosts and their addresses in turn, puts before the failure of each of several."""


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn the driver's errors, met while trying to do `what`, into ours."""
    try:
        yield
    except psycopg.Error as error:
        raise translate(error, what) from error


def translate(error: psycopg.Error, what: str) -> GmhealthError:
    """Decide whether `error` may pass, by its SQLSTATE: the one table for PostgreSQL."""
    text = error.diag.message_primary or " ".join(str(error).split()) or type(error).__name__
    if error.sqlstate is None:
        hint = _permanent(str(error))
        if hint:
            return Unusable(f"PostgreSQL refused to {what}: {text}", hint=hint)
    elif not error.sqlstate.startswith(TRANSIENT_SQLSTATES) and error.diag.source_function != STALE_PLAN:
        return Unusable(
            f"PostgreSQL refused to {what}: {text} (SQLSTATE {error.sqlstate})",
            hint=HINTS.get(error.sqlstate, ASK_DOCTOR),
        )
    cause = "Connection" if error.sqlstate is None else type(error).__name__
    by_size = error.sqlstate in (None, CANCELLED)
    words = f"PostgreSQL could not {what}: {text}"
    return Unavailable(words, hint=ASK_DOCTOR, server="PostgreSQL", cause=cause, by_size=by_size)


def refusal_of(error: psycopg.Error) -> Refusal | None:
    """Tell whether `error`, met while rows were written, is that of one of them."""
    code, diag = error.sqlstate or "", error.diag
    if not code.startswith(REFUSED_ROW):
        return None
    return Refusal(diag.message_primary or type(error).__name__, code, diag.column_name or "")


def _permanent(text: str) -> str:
    """The hint for what no waiting mends; empty if it may pass, as it may if one of several hosts is just away.

    A host that refuses us at one of its addresses refuses us, though it may not listen at the others.
    """
    _, *parts = _HOST.split(text)
    failures = dict.fromkeys(parts[::2], "") or {"": text}
    for host, failure in zip(parts[::2], parts[1::2], strict=True):
        failures[host] += failure
    hints = [_hint(failure) for failure in failures.values()]
    return hints[0] if all(hints) else ""


def _hint(failure: str) -> str:
    return next((hint for words, hint in PERMANENT_CONNECT.items() if words in failure), "")
