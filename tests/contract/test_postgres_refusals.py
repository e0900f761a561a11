"""PostgreSQL's errors that won't pass by waiting, provoked on a real server (design 3.3)."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors

from gmhealth.adapters.postgres import connection as postgres_connection
from gmhealth.adapters.postgres.errors import translate
from gmhealth.adapters.postgres.rows import PostgresRows
from gmhealth.core.plan import NetEffect
from gmhealth.core.rules import Summary
from gmhealth.errors import Unusable
from tests.contract.conftest import RowsWith
from tests.contract.roles import READ, as_role, limited_role

SINCE = "2020-01-01 00:00:00+00"
SWAP = [NetEffect("game-a", "engine_unreachable", Summary.OOM)]
RETYPE = """
ALTER TABLE runtime_records
    DROP CONSTRAINT runtime_records_current_turn_check, ALTER current_turn DROP DEFAULT, ALTER current_turn TYPE text
"""


@pytest.mark.parametrize(
    ("spoil", "words", "hint"),
    [
        ("DROP TABLE runtime_records", "does not exist .SQLSTATE 42P01.", "GMHEALTH_POSTGRES_TABLE"),
        ("ALTER TABLE runtime_records RENAME current_turn TO turn", "SQLSTATE 42703", "version of its schema"),
        (RETYPE, "SQLSTATE 42883", "gmhealth doctor"),
    ],
)
def test_a_table_that_is_not_game_masters_stays_so(
    rows_with: RowsWith, pg: psycopg.Connection, spoil: str, words: str, hint: str
) -> None:
    pg.execute(spoil.encode())
    with pytest.raises(Unusable, match=f"PostgreSQL refused to write rows: .*{words}") as caught:
        rows_with().write(SWAP, SINCE)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("option", "hint"),
    [
        *((option, "the options of GMHEALTH_POSTGRES_DSN") for option in (
            "sslmode=requird", "channel_binding=maybe", "target_session_attrs=readwrite", "gssencmode=x",
            "require_auth=foo", "ssl_min_protocol_version=foo", "port=99999", "port=x", "connect_timeout=abc",
            "keepalives_idle=abc", "tcp_user_timeout=abc",
        )),
        ("service=nowhere", "service="),
    ],
)  # fmt: skip
def test_an_option_that_libpq_does_not_take_stays_wrong(option: str, hint: str) -> None:
    with pytest.raises(Unusable) as caught:
        postgres_connection.connect(f"host=127.0.0.1 dbname=x {option}", password=None, application_name="test")
    assert hint in caught.value.hint


def test_a_key_that_others_may_read_stays_refused() -> None:
    error = psycopg.OperationalError('connection failed: private key file "client.key" has group or world access; …')
    translation = translate(error, "connect")
    assert isinstance(translation, Unusable)
    assert "sslkey" in translation.hint


def test_a_schema_that_is_not_there_stays_away(rows_with: RowsWith) -> None:
    with pytest.raises(Unusable, match=r'relation "nowhere.runtime_records" does not exist') as caught:
        rows_with(table="nowhere.runtime_records").find(["game-a"])
    assert "GMHEALTH_POSTGRES_TABLE" in caught.value.hint


def test_what_is_not_granted_stays_forbidden(postgres_dsn: str, pg: psycopg.Connection) -> None:
    with limited_role(pg, READ) as role:
        rows = PostgresRows(lambda: as_role(postgres_dsn, role), table="runtime_records", lock_name="offset")
        rows.find(["game-a"])
        with pytest.raises(Unusable, match=r"permission denied for table runtime_records \(SQLSTATE 42501\)") as caught:
            rows.write(SWAP, SINCE)
        assert "PERMISSIONS" in caught.value.hint
        rows.close()


@pytest.mark.parametrize(
    "error",
    [
        errors.UndefinedTable,
        errors.UndefinedColumn,
        errors.InsufficientPrivilege,
        errors.InvalidSchemaName,
        errors.CheckViolation,
        errors.NumericValueOutOfRange,
        errors.UntranslatableCharacter,
        errors.SyntaxError,
        errors.ActiveSqlTransaction,
        errors.InternalError_,
    ],
)
def test_what_won_t_pass(error: type[psycopg.Error]) -> None:
    assert isinstance(translate(error("it happened"), "try"), Unusable)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ('root certificate file "/etc/ssl/gm.pem" does not exist', "sslrootcert"),
        ("SSL error: certificate verify failed", "sslrootcert"),
        ('FATAL:  role "gm" does not exist', "the user and the database"),
    ],
)
def test_what_libpq_says_in_words_alone_has_its_hint(words: str, hint: str) -> None:
    error = translate(psycopg.OperationalError(f"connection failed: {words}"), "connect")
    assert isinstance(error, Unusable)
    assert hint in error.hint
