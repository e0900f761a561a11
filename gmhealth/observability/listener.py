"""The HTTP listener: /metrics, /healthz (the loop moves) and /readyz (it has work or stands by, and can do it).

The request handler is prometheus_client's; the server is not: its `start_http_server` answers any path, waits without
end for a client that sends nothing, and prints a traceback when one hangs up.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import ThreadingHTTPServer
from io import BytesIO
from threading import Thread
from typing import Any, Final

from prometheus_client import CollectorRegistry, MetricsHandler

from gmhealth.core.text import is_host
from gmhealth.errors import ConfigError, Unusable
from gmhealth.observability.liveness import Liveness

LOOPBACK: Final = "127.0.0.1"


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
def listening(address: str, registry: CollectorRegistry, liveness: Liveness) -> Iterator[str]:
    """Serve on `address` in a thread until the end; yields the URL. Raises `Unusable` if it cannot be had."""
    host, port = parse_address(address)
    try:
        server = _Server((host, port), _handler(registry, liveness))
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

    def __init__(self, address: tuple[str, int], handler: type[MetricsHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that hangs up is no news, and standard error is for log lines."""


def _handler(metrics: CollectorRegistry, liveness: Liveness) -> type[MetricsHandler]:
    class Handler(MetricsHandler):
        """Answers GET and HEAD."""

        registry = metrics
        timeout = 5  # seconds for a client to say what it wants
        server_version, sys_version = "gmhealth", ""

        def do_GET(self) -> None:  # noqa: N802  # the name is http.server's
            """Answer with status, headers and body."""
            # Without the query: `name[]` in it would leave out the collectors that register no names.
            self.path = self.path.partition("?")[0]
            match self.path:
                case "/metrics":
                    super().do_GET()
                case "/healthz":
                    self._verdict(liveness.moving)
                case "/readyz":
                    self._verdict(liveness.ready and liveness.moving and liveness.trouble is None)
                case _:
                    self._answer(HTTPStatus.NOT_FOUND, "try /metrics, /healthz or /readyz")

        do_HEAD = do_GET  # noqa: N815

        def end_headers(self) -> None:
            """Send the headers; what is written after them is the body, which HEAD has none of."""
            super().end_headers()
            if self.command == "HEAD":
                self.wfile = BytesIO()

        def _verdict(self, good: bool) -> None:  # noqa: FBT001  # the one thing it is about
            line = liveness.line() if liveness.moving else "stalled: the working loop does not come round"
            self._answer(HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE, line)

        def _answer(self, status: HTTPStatus, line: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.end_headers()
            self.wfile.write(f"{line}\n".encode())

    return Handler
