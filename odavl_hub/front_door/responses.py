"""An answer on its way: made in a thread, sent by the event loop as fast as its client reads.

A small one is handed over whole, by the thread that made it. Of any other the loop asks for a
piece when the one before has found room, and a thread of a pool of its own fetches it: a client
that does not read has the loop wait, at the price of a timer and less than a MiB, and no thread,
no transaction, no connection to the database.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from django.db import close_old_connections

from odavl.wire.limits import KIBIBYTE
from odavl_hub.front_door.connections import ARE_MONITORED, Address, hang_up
from odavl_hub.front_door.request_body import ClientDeadline, Receive, RequestBody
from odavl_hub.front_door.wsgi_environ import Environment, client_of

Send = Callable[[dict[str, Any]], Awaitable[None]]
SendNow = Callable[[dict[str, Any]], object]
"""Of a message for which granian has room in any case."""

AT_ONCE = 64 * KIBIBYTE
"""Bytes that are handed over at once. granian holds five of them for a client that does not read,
and as many bytes as its read buffer has."""
_FETCHED = 256 * KIBIBYTE
"""Bytes for which a thread is asked once, and the size up to which an answer is sent whole."""
_STALLED = 1.0
"""Seconds without room for more, after which an answer may have to go for another one."""
CLOSE = ("Connection", "close")
"""Where the rest of a body is not waited for, no other request can follow."""


@dataclass(eq=False, slots=True)
class Answer:
    """What is to be sent to ``client``; ``pieces`` are those of ``response``, if it has more."""

    client: Address
    head: dict[str, Any]
    pieces: Iterator[bytes] | AsyncIterator[bytes]
    response: Any
    blocked_since: float | None = field(default=None, init=False)
    """On the loop's clock: since when its client takes nothing."""

    def close(self) -> None:
        self.response.close()


def run_application(
    application: Callable[..., Any],
    meta: Environment,
    body: RequestBody,
    send: SendNow,
) -> Answer | None:
    """The answer of ``application``; None where it was small, and is sent. Runs in a thread."""
    head: dict[str, Any] = {}
    # Before the application may put another address there, of which a proxy told it.
    client = client_of(meta)

    def start(status: str, headers: list[tuple[str, str]], *_error: object) -> None:
        closing = [CLOSE] if body.has_failed else []
        head.update(head_of(int(status[:3]), [*headers, *closing]))

    response = application(meta, start)
    try:
        is_streaming = getattr(response, "streaming", False)
        pieces: Any = response.streaming_content if is_streaming else iter(response)
        if is_streaming and meta["REQUEST_METHOD"] == "HEAD":
            pieces = iter(())
        if not isinstance(pieces, AsyncIterator):
            first = _fetched(pieces)
            if len(first) < _FETCHED:
                # Neither of the two waits for anything, so they need not go through the loop.
                send(head)
                send(body_of(first, more=False))
                response.close()
                return None
            pieces = chain((first,), pieces)
    except BaseException:
        response.close()
        raise
    return Answer(client, head, pieces, response)


class Outbox:
    """Sends at most ``places`` answers at once; ``threads`` fetch their pieces."""

    def __init__(self, *, places: int, threads: int, deadline: ClientDeadline) -> None:
        self._places = places
        self._client_deadline = deadline
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="pieces")
        self._open: dict[Answer, None] = {}

    def make_room(self) -> bool:
        """Whether one more can be sent; of those whose clients take nothing, one may have to go."""
        if len(self._open) < self._places:
            return True
        blocked = [answer for answer in self._open if answer.blocked_since is not None]
        longest = min(blocked, key=lambda answer: answer.blocked_since or 0, default=None)
        now = asyncio.get_running_loop().time()
        if longest is None or now - (longest.blocked_since or now) < _STALLED:
            return False
        del self._open[longest]
        hang_up(longest.client)
        return True

    async def deliver(self, answer: Answer, receive: Receive, send: Send) -> None:
        """Send all of it, or as much as its client stays for."""
        self._open[answer] = None
        gone = asyncio.ensure_future(_until_gone(receive))
        is_over = False
        try:
            await send(answer.head)
            async for piece in self._pieces_of(answer):
                await self._sent(answer, piece, send)
                if gone.done():
                    break
            await send(body_of(b"", more=False))
            is_over = True
        finally:
            if not is_over:
                # What came so far must not pass for the whole.
                hang_up(answer.client)
            gone.cancel()
            self._open.pop(answer, None)
            await self.drop(answer)

    async def drop(self, answer: Answer) -> None:
        """Have done with it, sent or not."""
        if isinstance(answer.pieces, AsyncGenerator):
            await answer.pieces.aclose()
        await asyncio.get_running_loop().run_in_executor(self._threads, answer.close)

    async def _pieces_of(self, answer: Answer) -> AsyncIterator[bytes]:
        if isinstance(answer.pieces, AsyncIterator):
            async for piece in answer.pieces:
                yield piece
            return
        loop = asyncio.get_running_loop()
        while fetched := await loop.run_in_executor(self._threads, _fetched_there, answer.pieces):
            for at in range(0, len(fetched), AT_ONCE):
                yield fetched[at : at + AT_ONCE]

    async def _sent(self, answer: Answer, piece: bytes, send: Send) -> None:
        loop = asyncio.get_running_loop()
        answer.blocked_since = loop.time()
        try:
            async with asyncio.timeout(None if ARE_MONITORED else self._client_deadline.seconds):
                await send(body_of(piece, more=True))
        except TimeoutError:
            hang_up(answer.client)
        answer.blocked_since = None


def _fetched(pieces: Iterator[bytes]) -> bytes:
    """The next of them, about :data:`_FETCHED` bytes together; fewer only at the end."""
    found = []
    size = 0
    for piece in pieces:
        found.append(piece)
        size += len(piece)
        if size >= _FETCHED:
            break
    return b"".join(found)


def _fetched_there(pieces: Iterator[bytes]) -> bytes:
    """As :func:`_fetched`, in a thread that no request begins: so nobody else has looked."""
    close_old_connections()
    return _fetched(pieces)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def head_of(status: int, headers: list[tuple[str, str]]) -> dict[str, Any]:
    raw = [(name.lower().encode("latin-1"), text.encode("latin-1")) for name, text in headers]
    return {"type": "http.response.start", "status": status, "headers": raw}


def body_of(piece: bytes, *, more: bool) -> dict[str, Any]:
    return {"type": "http.response.body", "body": piece, "more_body": more}
