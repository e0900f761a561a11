"""Connecting to Redis, and what its errors mean (design 3.3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

import redis
from redis import exceptions
from redis.backoff import NoBackoff
from redis.retry import Retry

from gmhealth.errors import ConfigError, GmhealthError, Unavailable, Unusable
from gmhealth.ports import Meanwhile, nothing

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
)
"""For those that redis-py, or a script that met them, hands on as a plain ResponseError."""

PIPELINED: Final = " of pipeline caused error: "
"""What redis-py puts, after the command, before the server's words."""

HINTS: Final[Mapping[str, str]] = {
    "Authentication required": "the server wants a password: put it into the URL or into GMHEALTH_REDIS_PASSWORD_FILE",
    "invalid username-password pair": "check the user name and password of GMHEALTH_REDIS_URL",
    "permissions": "this user may not do that: compare its ACL with `gmhealth doctor`",
    "WRONGTYPE": "the key holds something else: check the names of the streams and of the key prefix",
}
"""By the server's words: redis-py cuts off those prefixes that it has a class for (NOAUTH, WRONGPASS, NOPERM)."""


def connect(url: str, *, password: str | None = None, client_name: str = "gmhealth") -> redis.Redis:
    """Make a client for `url` that never repeats a command by itself and answers in raw bytes.

    Nothing is sent yet. RESP2 is pinned, as the two protocols give streams in different shapes. Every new connection
    makes sure that it reached a primary: a demoted one still serves stale reads.
    """
    options: dict[str, Any] = {} if url.startswith("unix:") else {"socket_keepalive": True}
    if password is not None:
        options["password"] = password
    try:
        return redis.Redis.from_url(
            url,
            protocol=2,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
            client_name=client_name,
            driver_info=None,  # two round trips, and two lines in the ACL log of a user who may not tell it
            redis_connect_func=_connect_to_primary,
            **options,
        )
    except ValueError:  # "/" in a password ends the host: the message would show what is before it
        raise ConfigError(
            "the Redis URL cannot be read (it is not shown: it may hold a password)",
            hint="write it as redis://host:6379/0, rediss://… for TLS, or unix:///path; a password percent-encoded",
        ) from None


def _connect_to_primary(connection: Any) -> None:
    connection.on_connect()
    connection.send_command("ROLE")
    role = connection.read_response()[0]
    if role != b"master":
        raise exceptions.ConnectionError(f"this server is a {role.decode()}, not the primary")


def describe(url: str) -> str:
    """Name the server and the logical database of `url` without its secrets."""
    try:
        parts = urlsplit(url)
        port = parts.port or 6379
    except ValueError:
        return "an unreadable URL"
    query = parse_qs(parts.query)
    if parts.scheme not in ("redis", "rediss", "unix"):
        return "an unreadable URL"
    if parts.scheme == "unix":
        return f"unix:{unquote(parts.path)} database {query.get('db', ['0'])[0]}"
    database = query.get("db", [parts.path.strip("/") or "0"])[0]
    return f"{parts.hostname or 'localhost'}:{port} database {database}"


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
        connection.disconnect()
        raise


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
            client.connection_pool.disconnect()
        raise translation from error


def translate(error: exceptions.RedisError, what: str) -> GmhealthError:
    """Decide whether `error`, met while doing `what`, may pass: the one table for Redis."""
    text = str(error) or type(error).__name__
    if isinstance(error, PERMANENT):
        return Unusable(f"Redis refused to {what}: {text}", hint=_hint(text))
    if isinstance(error, TRANSIENT) or text.rpartition(PIPELINED)[2].startswith(TRANSIENT_PREFIXES):
        return Unavailable(f"Redis could not {what}: {text}", hint="`gmhealth doctor` looks at both servers")
    return Unusable(f"Redis refused to {what}: {text}", hint=_hint(text))


def _hint(text: str) -> str:
    return next((hint for word, hint in HINTS.items() if word in text), "`gmhealth doctor` looks at both servers")
