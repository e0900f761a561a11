"""A TLS front for a server of the tests: neither wheel's server speaks TLS, and what is tested is our side."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import NamedTuple

import trustme

SSL_REQUEST = 8
"""Bytes in which libpq asks a PostgreSQL server for TLS; it answers S (PostgreSQL manual, 54.2.12)."""


class Certificates:
    """A certificate authority, and what it has signed, as files."""

    def __init__(self, directory: Path, host: str = "localhost") -> None:
        authority = trustme.CA()
        server, client = authority.issue_cert(host), authority.issue_cert("gmhealth@example.test")
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.verify_mode = ssl.CERT_REQUIRED
        server.configure_cert(self.context)
        authority.configure_trust(self.context)
        directory.mkdir()
        self.ca, self.cert, self.key = directory / "ca.crt", directory / "client.crt", directory / "client.key"
        authority.cert_pem.write_to_path(self.ca)
        client.cert_chain_pems[0].write_to_path(self.cert)
        self.key.touch(0o600)
        client.private_key_pem.write_to_path(self.key)


class Target(NamedTuple):
    """The server behind: a Unix socket's path, or a host and a port."""

    path: str
    host: str = ""
    port: int = 0


@contextmanager
def tls_front(target: Target, certificates: Certificates, *, postgres: bool) -> Iterator[int]:
    """Listen on the loopback for clients with a certificate; yields the port."""
    loop = asyncio.new_event_loop()
    front = _Front(target, certificates.context, asks_first=postgres)
    server = loop.run_until_complete(asyncio.start_server(front.serve, "127.0.0.1", 0))
    thread = Thread(target=loop.run_forever, daemon=True)  # it must not keep a run from its end
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        try:
            asyncio.run_coroutine_threadsafe(_end(server), loop).result(10)
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(10)
            loop.close()


async def _end(server: asyncio.Server) -> None:
    server.close()
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


class _Front:
    def __init__(self, target: Target, context: ssl.SSLContext, *, asks_first: bool) -> None:
        self._target, self._context, self._asks_first = target, context, asks_first

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self._asks_first:
                await reader.readexactly(SSL_REQUEST)
                writer.write(b"S")
                await writer.drain()
            await writer.start_tls(self._context)
            behind = await self._connect()
            await asyncio.gather(_pump(reader, behind[1]), _pump(behind[0], writer))
        except (OSError, EOFError):  # a client that was refused
            writer.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._target.path:
            return await asyncio.open_unix_connection(self._target.path)
        return await asyncio.open_connection(self._target.host, self._target.port)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        with suppress(OSError):
            writer.close()
