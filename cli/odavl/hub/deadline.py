"""Sockets that keep a deadline over a whole exchange.

HTTPX times each step. A hub, or what stands in front of it, that answers one byte at a time takes
small steps without end; so the clock is kept down here, where each of them passes.
"""

from __future__ import annotations

import socket
import ssl
import time
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from urllib.parse import urlsplit

import httpcore
import httpx

from odavl.wire import limits

_SLICE = 32 * limits.KIBIBYTE
"""Bytes that are handed to the socket at once: between two of them the clock is looked at."""
_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """In this thread, whatever the transport does must end in ``seconds``, or it raises."""
    token = _deadline.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _deadline.reset(token)


def transport_for(address: str, context: ssl.SSLContext) -> httpx.BaseTransport | None:
    """One that keeps :func:`within`; None, for HTTPX's own, where a proxy stands between.

    Then only its single steps are timed.
    """
    parts = urlsplit(address)
    proxies = urllib.request.getproxies()
    if (parts.scheme in proxies or "all" in proxies) and not urllib.request.proxy_bypass(
        parts.hostname or ""
    ):
        return None
    return _PatientTransport(context)


class _PatientTransport(httpx.HTTPTransport):
    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(verify=context)
        # HTTPX offers no way to hand the sockets in, and HTTP Core does.
        self._pool = httpcore.ConnectionPool(
            ssl_context=context, network_backend=_Backend(), keepalive_expiry=5.0
        )


class _Backend(httpcore.NetworkBackend):
    def __init__(self) -> None:
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        stream = self._sockets.connect_tcp(host, port, left, local_address, socket_options)
        _hold_little_back(stream.get_extra_info("socket"))
        return _Stream(stream)


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        with memoryview(buffer) as view:
            for at in range(0, len(view), _SLICE):
                left = _left(timeout, httpcore.WriteTimeout)
                self._stream.write(bytes(view[at : at + _SLICE]), left)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)


def _hold_little_back(sock: socket.socket) -> None:
    """Have writing last as long as sending does.

    The system would take megabytes at once, and a slow line would then carry them while we wait
    for an answer to what has not arrived.
    """
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        with suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _SLICE)


def _left(timeout: float | None, error: type[httpcore.TimeoutException]) -> float | None:
    """The shorter of a step's time and what is left; raises ``error`` once nothing is."""
    end = _deadline.get()
    if end is None:
        return timeout
    left = end - time.monotonic()
    if left <= 0:
        raise error
    return left if timeout is None else min(timeout, left)
