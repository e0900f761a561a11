"""Making an idle consumer's loop come round, without waiting for time to pass."""

from __future__ import annotations

import redis

from tests.e2e.conftest import Daemon
from tests.eventually import eventually


def come_round(client: redis.Redis, consume: Daemon, times: int = 5) -> None:
    """End the consumer's blocking read as its time-out would, `times` in a row.

    The last one shows that it has done all that there was to do after the one before.
    """
    for _ in range(times):
        eventually(lambda: _unblocked(client, consume))


def _unblocked(client: redis.Redis, consume: Daemon) -> bool:
    name = f":{consume.process.pid}"
    ids = [each["id"] for each in client.client_list() if each["name"].endswith(name) and "b" in each["flags"]]
    return any(client.execute_command("CLIENT", "UNBLOCK", each, "TIMEOUT") for each in ids)
