"""Redis's contract and the incident once more, without hiredis: the parser is another one here."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping

import redis
from redis._parsers import _RESP2Parser

from tests.contract.test_dead_letters import *  # noqa: F403
from tests.contract.test_ledger import *  # noqa: F403
from tests.contract.test_redis_answers import *  # noqa: F403
from tests.contract.test_redis_errors import *  # noqa: F403
from tests.contract.test_redis_table import *  # noqa: F403
from tests.contract.test_stream import *  # noqa: F403
from tests.daemon import environment
from tests.e2e.test_incident import *  # noqa: F403


def test_the_adapters_read_with_the_other_parser(client: redis.Redis) -> None:
    connection = client.connection_pool.get_connection()
    assert isinstance(connection._parser, _RESP2Parser)
    client.connection_pool.release(connection)


def test_a_process_reads_with_the_other_parser(without_hiredis: Mapping[str, str]) -> None:
    found = "import gmhealth.bootstrap, redis.connection; print(redis.connection.DefaultParser.__name__)"
    shown = subprocess.run(
        [sys.executable, "-c", found], env=environment(without_hiredis), check=True, capture_output=True, text=True
    )
    assert shown.stdout == "_RESP2Parser\n"
