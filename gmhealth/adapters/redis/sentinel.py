"""Redis by Sentinel: each new connection asks who the primary is. Loaded only where sentinels are set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import redis
from redis import exceptions
from redis.backoff import NoBackoff
from redis.connection import SSLConnection
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool

from gmhealth.adapters.redis.address import TLS_OPTIONS, Sentinels, address_text
from gmhealth.errors import ConfigError

ANSWER_S: Final = 1.0
"""A sentinel that takes longer is passed over: the next one knows as much."""
NOBODY_KNOWS: Final = "no sentinel knows a primary called"

Address = tuple[str, int]


class Answer(NamedTuple):
    """What one sentinel says: the primary's address, None if it knows none of that name, or why it said nothing."""

    sentinel: str
    primary: Address | None
    error: exceptions.RedisError | None = None


def pool_of_primary(sentinels: Sentinels, given: Mapping[str, Any], settled: Mapping[str, Any]) -> redis.ConnectionPool:
    """Make a pool whose connections lead to whoever is the primary; of `given` everything but the address counts."""
    if "path" in given:
        raise ConfigError(
            "the Redis URL names a Unix socket, and sentinels are set",
            hint="with sentinels write it as redis://user@/0, or rediss:// for TLS; the host is then not looked at",
        )
    kept = {name: value for name, value in given.items() if name not in ("host", "port", "connection_class")}
    secure = given.get("connection_class") is SSLConnection
    asked: Sentinel = _Asked(list(sentinels.addresses), sentinel_kwargs=_options(sentinels, given))  # type: ignore[no-untyped-call]
    return SentinelConnectionPool(sentinels.master, asked, ssl=secure, socket_keepalive=True, **kept, **settled)


def ask_each(sentinels: Sentinels, given: Mapping[str, Any]) -> Iterator[Answer]:
    """Ask every sentinel, in their order."""
    options = _options(sentinels, given)
    for host, port in sentinels.addresses:
        with redis.Redis(host, port, **options) as client:
            yield _ask(client, address_text(host, port), sentinels.master)


def _options(sentinels: Sentinels, given: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "password": sentinels.password,
        "protocol": 2,
        "socket_timeout": ANSWER_S,
        "socket_connect_timeout": ANSWER_S,
        "retry": Retry(NoBackoff(), 0),
        "driver_info": None,
        "ssl": given.get("connection_class") is SSLConnection,
        **{name: value for name, value in given.items() if name in TLS_OPTIONS},
    }


def _ask(client: redis.Redis, name: str, master: str) -> Answer:
    try:
        found = client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", master)
    except exceptions.RedisError as error:
        return Answer(name, None, error)
    finally:
        client.connection_pool.disconnect()  # the next question may be weeks away
    return Answer(name, (found[0].decode(), int(found[1])) if found else None)


class _Asked(Sentinel):
    """Redis-py's, but that one refusal for good is told from a silence, and no error names the whole client."""

    def discover_master(self, service_name: str) -> Address:
        """Take the first answer, and next time ask the others first.

        Where it leads may be no primary any more, and then the one that gave it may be the last to hear of it.
        """
        answers: list[Answer] = []
        for client in list(self.sentinels):
            where = client.connection_pool.connection_kwargs
            answer = _ask(client, address_text(where["host"], where["port"]), service_name)
            self.sentinels.append(self.sentinels.pop(0))
            if answer.primary is not None:
                return answer.primary
            answers.append(answer)
        raise _refusal(answers, service_name)


def _refusal(answers: list[Answer], master: str) -> exceptions.RedisError:
    """Nobody gave an address. It is final if every one of them has answered."""
    said = "; ".join(f"{each.sentinel}: {each.error}" for each in answers if each.error is not None)
    if not said:
        return exceptions.ResponseError(f"{NOBODY_KNOWS} {master!r}")
    final = (exceptions.AuthenticationError, exceptions.NoPermissionError, exceptions.ResponseError)
    if all(each.error is None or isinstance(each.error, final) for each in answers):
        return exceptions.AuthenticationError(f"the sentinels refuse to answer: {said}")
    return exceptions.ConnectionError(f"{NOBODY_KNOWS} {master!r}: {said}")
