"""Connecting to Redis, and what its errors mean (design 3.3)."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import redis
from redis import exceptions
from redis.backoff import NoBackoff
from redis.retry import Retry

from gmhealth.adapters.redis.address import Sentinels, read_url
from gmhealth.errors import GmhealthError, Unavailable, Unusable
from gmhealth.worker.ports import Meanwhile, nothing

TIMEOUT_S: Final = 5.0
"""No answer for so long means that the connection is gone. Every blocking read waits for less."""

PERMANENT: Final = (
    exceptions.AuthenticationError,
    exceptions.AuthorizationError,
    exceptions.NoPermissionError,
    exceptions.InvalidResponse,
)
"""Looked at first: redis-py derives a wrong password from ConnectionError."""

TRANSIENT: Final = (
    exceptions.ConnectionError,  # refused, lost, LOADING
    exceptions.TimeoutError,
    exceptions.ReadOnlyError,
    exceptions.OutOfMemoryError,
    exceptions.MasterDownError,
    exceptions.ClusterDownError,
    exceptions.TryAgainError,
    exceptions.ExternalAuthProviderError,
)

TRANSIENT_PREFIXES: Final = (
    "UNBLOCKED",
    "NOREPLICAS",
    "BUSY",
    "MISCONF",
    "LOADING",
    "MASTERDOWN",
    "READONLY",
    "OOM",
    "Protocol",  # "error: invalid bulk length": a request above proto-max-bulk-len
)
"""For those that redis-py, or a script that met them, hands on as a plain ResponseError."""

TOO_LARGE: Final = "invalid bulk length"

PIPELINED: Final = " of pipeline caused error: "
"""What redis-py puts, after the command, before the server's words."""

BAD_TLS: Final = (
    *("CERTIFICATE", "CERT_", "UNKNOWN_CA", "DECRYPT_ERROR", "ACCESS_DENIED"),
    *("HANDSHAKE_FAILURE", "WRONG_VERSION_NUMBER", "PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL", "NO_SHARED_CIPHER"),
)
"""In OpenSSL's reason when the two sides do not trust or understand each other; the rest is a network's trouble."""
TLS_HINT: Final = (
    "check ssl_ca_certs, ssl_certfile and ssl_keyfile in GMHEALTH_REDIS_URL, and whom the server's certificate names"
)

HINTS: Final[Mapping[str, str]] = {
    "no sentinel knows a primary": "check GMHEALTH_REDIS_SENTINEL_MASTER: `SENTINEL MASTERS` lists their names",
    "the sentinels refuse": "check GMHEALTH_REDIS_SENTINEL_PASSWORD",
    "Authentication required": "the server wants a password: put it into the URL or into GMHEALTH_REDIS_PASSWORD_FILE",
    "invalid username-password pair": "check the user name and password of GMHEALTH_REDIS_URL",
    "permissions": "this user may not do that: compare its ACL with `gmhealth doctor`",
    "WRONGTYPE": "the key holds something else: check the names of the streams and of the key prefix",
}
"""By the server's words: redis-py cuts off those prefixes that it has a class for (NOAUTH, WRONGPASS, NOPERM)."""


def connect(
    url: str,
    *,
    password: str | None = None,
    client_name: str = "gmhealth",
    sentinels: Sentinels | None = None,
) -> redis.Redis:
    """Make a client for `url` that never repeats a command by itself and answers in raw bytes.

    Nothing is sent yet. RESP2 is pinned, as the two protocols give streams in different shapes. Every new connection
    makes sure that it reached a primary: a demoted one still serves stale reads.
    """
    given = read_url(url)
    if password is not None:
        given["password"] = password
    settled: dict[str, Any] = {
        "protocol": 2,
        "socket_timeout": TIMEOUT_S,
        "socket_connect_timeout": TIMEOUT_S,
        "retry": Retry(NoBackoff(), 0),
        "client_name": client_name,
        "driver_info": None,  # two round trips, and two lines in the ACL log of a user who may not tell it
        "redis_connect_func": _connect_to_primary,
    }
    if sentinels is not None:
        from gmhealth.adapters.redis.sentinel import pool_of_primary  # noqa: PLC0415  # start-up time

        return redis.Redis.from_pool(pool_of_primary(sentinels, given, settled))
    keep_alive: dict[str, Any] = {} if "path" in given else {"socket_keepalive": True}
    return redis.Redis.from_pool(redis.ConnectionPool(**given, **keep_alive, **settled))


def _connect_to_primary(connection: Any) -> None:
    connection.on_connect()
    connection.send_command("ROLE")
    role = connection.read_response()[0]
    if role != b"master":
        raise exceptions.ConnectionError(f"this server is a {role.decode()}, not the primary")


def round_trip(client: redis.Redis, *commands: Sequence[Any], meanwhile: Meanwhile = nothing) -> list[Any]:
    """Send `commands` at once and return their replies as they come: raw bytes, and an error as its exception.

    A quarter of what a redis-py pipeline costs, which an idle consumer would spend on every single event: also, the
    client keeps its connection instead of taking one out of its pool each time, with a look whether it still is good.
    Whatever is raised has closed it, so nothing that is still on the way is taken for the answer to a later command.
    """
    if client.connection is None:
        client.connection = client.connection_pool.get_connection()
    connection = client.connection
    try:
        connection.send_packed_command(connection.pack_commands(commands))
        meanwhile()
        return [_reply(connection) for _ in commands]
    except BaseException:
        disconnect(client)
        raise


def disconnect(client: redis.Redis) -> None:
    """Close the client's connections; the next one asks again who the primary is."""
    connection, client.connection = client.connection, None
    if connection is not None:
        client.connection_pool.release(connection)
    client.connection_pool.disconnect()


def _reply(connection: Any) -> Any:
    """One reply; an error is returned, so that the replies after it are read before anything else is sent."""
    try:
        return connection.read_response()
    except exceptions.ResponseError as error:
        return error


def unless_error(reply: Any) -> Any:
    """`reply`, if it is none of `round_trip`'s errors; otherwise raises it."""
    if isinstance(reply, Exception):
        raise reply
    return reply


@contextmanager
def translated(client: redis.Redis, what: str) -> Iterator[None]:
    """Turn the driver's errors into ours, and drop the connection after an error that may pass.

    The outcome of what was sent is then unknown, so nothing that is still on the way may be taken for the answer to
    a later command.
    """
    try:
        yield
    except exceptions.RedisError as error:
        translation = translate(error, what)
        if isinstance(translation, Unavailable):
            disconnect(client)
        raise translation from error


def translate(error: exceptions.RedisError, what: str) -> GmhealthError:
    """Decide whether `error`, met while doing `what`, may pass: the one table for Redis."""
    text = str(error) or type(error).__name__
    if _is_bad_tls(error):
        return Unusable(f"Redis refused to {what}: {text}", hint=TLS_HINT)
    if isinstance(error, PERMANENT):
        return Unusable(f"Redis refused to {what}: {text}", hint=_hint(text))
    if isinstance(error, TRANSIENT) or text.rpartition(PIPELINED)[2].startswith(TRANSIENT_PREFIXES):
        hint = "`gmhealth doctor` looks at both servers"
        by_size = type(error) in (exceptions.ConnectionError, exceptions.TimeoutError) or TOO_LARGE in text
        words, cause = f"Redis could not {what}: {text}", _cause(error, text)
        return Unavailable(words, hint=hint, server="Redis", cause=cause, by_size=by_size)
    return Unusable(f"Redis refused to {what}: {text}", hint=_hint(text))


def _is_bad_tls(error: BaseException | None) -> bool:
    """Whether TLS failed for good; redis-py makes a lost connection of it, and keeps the cause."""
    while error is not None:
        if isinstance(error, ssl.SSLError) and any(word in (error.reason or "") for word in BAD_TLS):
            return True
        error = error.__cause__ or error.__context__
    return False


def _cause(error: exceptions.RedisError, text: str) -> str:
    """The error in a word: its prefix, or the class that redis-py has for it."""
    if type(error) is exceptions.ResponseError:
        return text.rpartition(PIPELINED)[2].split()[0]
    return type(error).__name__.removesuffix("Error")


def _hint(text: str) -> str:
    return next((hint for word, hint in HINTS.items() if word in text), "`gmhealth doctor` looks at both servers")
