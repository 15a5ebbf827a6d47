"""The body of a request, read on the event loop while it arrives, with an eye on the clock."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from odavl.wire import limits

Receive = Callable[[], Awaitable[dict[str, Any]]]

READ_AHEAD = 384 * limits.KIBIBYTE
"""Bytes of a body that are there before it takes a thread: all that the client sends at once."""
READ_AT_ONCE = limits.CHUNK_SIZE
"""Bytes for which a thread goes to the loop once: a chunk of a transfer. Each going costs more than
to take what came."""


@dataclass(frozen=True, slots=True)
class ClientDeadline:
    """How slow a client may be.

    ``seconds`` may pass without a byte, or before ``rate`` bytes a second count: a body of 1 MiB
    at 16 KiB/s has 64 s and those. Both bounds hold, so neither silence nor a drip lasts.
    """

    seconds: float = 20.0
    rate: float = 16.0 * limits.KIBIBYTE


class BodyTooSlow(TimeoutError):
    """The client is slower than :class:`ClientDeadline` allows. Django expects an OSError."""


class BodyCutShort(ConnectionError):
    """The client closed its side before the announced length."""


class RequestBody:
    """``length`` bytes that ``receive`` brings. Its reading methods are those of ``wsgi.input``.

    ``read`` is called from a thread, ``fill`` on the loop; never both at once.
    """

    def __init__(self, receive: Receive, length: int, deadline: ClientDeadline) -> None:
        self._receive = receive
        self._client_deadline = deadline
        self._loop = asyncio.get_running_loop()
        self._started = self._moved = self._loop.time()
        self._timer: asyncio.TimerHandle
        self._pieces: deque[bytes] = deque()
        self._at = 0
        """How much of the first piece was given on."""
        self._held = 0
        """Bytes in ``_pieces`` that were not."""
        self._length = length
        self.has_failed = False
        """Whether the connection is of no more use: nobody knows where a next request begins."""
        self._received = 0

    async def fill(self, size: int) -> None:
        """Have ``size`` bytes at hand, or all that are still to come.

        Raises :class:`BodyTooSlow` and :class:`BodyCutShort`.
        """
        try:
            await self._fill(size)
        except OSError:
            self.has_failed = True
            raise

    async def _fill(self, size: int) -> None:
        if self._held >= size or self._received == self._length:
            return
        self._moved = self._loop.time()
        try:
            async with asyncio.timeout(None) as clock:
                self._watch(clock)
                try:
                    while self._held < size and self._received < self._length:
                        self._take(await self._receive())
                finally:
                    self._timer.cancel()
        except TimeoutError as error:
            raise BodyTooSlow("The body comes too slowly.") from error

    def _watch(self, clock: asyncio.Timeout) -> None:
        """Let ``clock`` run out when the deadline is there, which moves while the body comes.

        It is looked at when its time has come and not put off for each piece: a large body has
        many, and a timer for each costs more than to take it.
        """
        deadline = self._deadline()
        if deadline <= self._loop.time():
            clock.reschedule(deadline)
        else:
            self._timer = self._loop.call_at(deadline, self._watch, clock)

    def _take(self, message: dict[str, Any]) -> None:
        self._moved = self._loop.time()
        piece = message.get("body", b"")
        if piece:
            self._pieces.append(piece)
            self._held += len(piece)
            self._received += len(piece)
        if self._received < self._length and not message.get("more_body"):
            raise BodyCutShort("The body ends before its announced length.")

    def read(self, size: int = -1) -> bytes:
        """``size`` bytes, fewer only at the end; everything for -1. Raises as :meth:`fill`."""
        left = self._held + self._length - self._received
        wanted = left if size < 0 else min(size, left)
        parts = []
        while wanted:
            if not self._held:
                self._wait_for(max(wanted, READ_AT_ONCE))
            parts.append(self._next(wanted))
            wanted -= len(parts[-1])
        return b"".join(parts)

    def _wait_for(self, size: int) -> None:
        asyncio.run_coroutine_threadsafe(self.fill(size), self._loop).result()

    def readline(self, size: int = -1) -> bytes:
        """Up to and with the next line feed. PEP 3333 asks for it; nothing here reads lines."""
        line = bytearray()
        while (size < 0 or len(line) < size) and (byte := self.read(1)):
            line += byte
            if byte == b"\n":
                break
        return bytes(line)

    def _next(self, size: int) -> bytes:
        """Up to ``size`` bytes of the piece at hand."""
        piece = self._pieces[0][self._at : self._at + size]
        self._at += len(piece)
        self._held -= len(piece)
        if self._at == len(self._pieces[0]):
            self._pieces.popleft()
            self._at = 0
        return piece

    def _deadline(self) -> float:
        """On the loop's clock: when the next piece must be there."""
        silence = self._moved + self._client_deadline.seconds
        drip = (
            self._started
            + self._client_deadline.seconds
            + self._received / self._client_deadline.rate
        )
        return min(silence, drip)
