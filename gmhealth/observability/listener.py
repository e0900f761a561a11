"""The HTTP listener: /metrics, /healthz (the loop moves) and /readyz (it has work or stands by, and can do it)."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Final, NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from gmhealth.core.host import is_host
from gmhealth.errors import ConfigError, Unusable
from gmhealth.observability.pulse import Pulse

LOOPBACK: Final = "127.0.0.1"
TEXT: Final = "text/plain; charset=utf-8"


class Answer(NamedTuple):
    """What a request gets."""

    status: HTTPStatus
    body: bytes
    kind: str = TEXT


def parse_address(text: str) -> tuple[str, int]:
    """Split `[HOST:]PORT`; without a host it is the loopback's."""
    host, _, port = text.rpartition(":")
    if not is_host(host):
        raise ConfigError(
            f"metrics_addr {text} cannot be used: a part of its host is empty or too long for a name",
            hint="choose another --metrics-addr",
        )
    return host.strip("[]") or LOOPBACK, int(port)


@contextmanager
def listening(address: str, registry: CollectorRegistry, pulse: Pulse) -> Iterator[str]:
    """Serve on `address` in a thread until the end; yields the URL. Raises `Unusable` if it cannot be had."""
    host, port = parse_address(address)
    try:
        server = _Server((host, port), _handler(registry, pulse))
    except (OSError, OverflowError) as error:
        raise Unusable(
            f"metrics cannot be served on {address}: {error}", hint="choose another --metrics-addr"
        ) from error
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="metrics", daemon=True)
    thread.start()
    try:
        yield f"http://{f'[{host}]' if ':' in host else host}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()


class _Server(ThreadingHTTPServer):
    """A thread a request, so that a slow client keeps nobody waiting, and none that keeps the process alive."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that hangs up is no news, and standard error is for log lines."""


def _handler(registry: CollectorRegistry, pulse: Pulse) -> type[BaseHTTPRequestHandler]:
    paths: dict[str, Callable[[str], Answer]] = {
        "/metrics": lambda accept: _metrics(registry, accept),
        "/healthz": lambda _: _verdict(pulse.moving, pulse),
        "/readyz": lambda _: _verdict(pulse.ready and pulse.moving and pulse.trouble is None, pulse),
    }

    class Handler(BaseHTTPRequestHandler):
        """Answers GET and HEAD."""

        timeout = 5  # seconds for a client to say what it wants
        server_version = "gmhealth"
        sys_version = ""

        def do_GET(self) -> None:
            """Answer with status, headers and body."""
            found = paths.get(self.path.partition("?")[0])
            accept = self.headers.get("Accept", "")
            answer = (
                Answer(HTTPStatus.NOT_FOUND, b"try /metrics, /healthz or /readyz\n") if not found else found(accept)
            )
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.kind)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(answer.body)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Log nothing: a scrape every few seconds is no news."""

    return Handler


def _metrics(registry: CollectorRegistry, accept: str) -> Answer:
    encode, kind = choose_encoder(accept)
    return Answer(HTTPStatus.OK, encode(registry), kind)


def _verdict(good: bool, pulse: Pulse) -> Answer:  # noqa: FBT001  # the one thing it is about
    status = HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE
    line = pulse.line() if pulse.moving else "stalled: the working loop does not come round"
    return Answer(status, f"{line}\n".encode())
