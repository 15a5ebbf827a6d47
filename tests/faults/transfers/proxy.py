"""A line between client and hub that breaks: TCP, so that it knows nothing of what it carries."""

from __future__ import annotations

import select
import socket
import struct
import threading
from contextlib import suppress
from typing import Self

_PIECE = 16 * 1024
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: closing sends a reset, as a line that breaks does."""


class BreakingLine:
    """Breaks each connection once ``limit`` bytes have gone towards the hub; None: never.

    ``lose_answers`` of the answers to finalize, or to requests whose head has ``to`` in it, never
    come back: the connection breaks instead.
    """

    def __init__(
        self,
        port: int,
        *,
        limit: int | None = None,
        lose_answers: int = 0,
        to: bytes = b"/finalize ",
    ) -> None:
        self.limit = limit
        self.lose_answers = lose_answers
        self._to = to
        self.cuts = 0
        self.sent = 0
        """Bytes towards the hub, over all connections."""
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._closed = False
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._closed = True
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while not self._closed:
                client, _ = self._listener.accept()
                threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        # A hub that is down refuses: its client sees a line that breaks.
        with client, suppress(OSError), socket.create_connection(("127.0.0.1", self._port)) as hub:
            self._pump(client, hub)

    def _pump(self, client: socket.socket, hub: socket.socket) -> None:
        carried = 0
        ends = False
        while True:
            ready, _, _ = select.select([client, hub], [], [])
            if client in ready:
                data = client.recv(_PIECE)
                if not data:
                    return
                ends = ends or self._to in data
                left = len(data) if self.limit is None else self.limit - carried
                hub.sendall(data[:left])
                carried += len(data[:left])
                self.sent += len(data[:left])
                if self.limit is not None and carried >= self.limit:
                    self._cut(client)
                    return
            if hub in ready:
                data = hub.recv(_PIECE)
                if not data:
                    return
                if ends and self.lose_answers:
                    self.lose_answers -= 1
                    self._cut(client)
                    return
                ends = False
                client.sendall(data)

    def _cut(self, client: socket.socket) -> None:
        self.cuts += 1
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
