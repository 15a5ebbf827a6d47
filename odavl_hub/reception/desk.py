"""The ASGI application that granian calls: it waits for the client, and a thread for nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import msgspec

from odavl.wire import limits
from odavl.wire.errors import MalformedRequest, RequestTimeout
from odavl.wire.problem import CONTENT_TYPE, problem_of
from odavl_hub.reception.body import (
    READ_AHEAD,
    BodyCutShort,
    BodyTooSlow,
    Patience,
    Receive,
    RequestBody,
)
from odavl_hub.reception.environment import Environment, announced_length, environment_of
from odavl_hub.request_ids import request_id_of

Send = Callable[[dict[str, Any]], Awaitable[None]]


_CLOSE = ("Connection", "close")
"""Where the rest of a body is not waited for, no other request can follow."""


class _ClientGone(Exception):
    """Nobody takes the answer any more."""


class Desk:
    """Serves ``application`` (WSGI, Django's) with ``threads`` threads.

    A body is waited for here, up to :data:`READ_AHEAD`; so clients that are slow, or that only
    pretend to send, cost memory and none of the threads. The rest of a larger one is read by the
    view, which has looked at the key by then.
    """

    def __init__(
        self, application: Callable[..., Any], *, threads: int, patience: Patience
    ) -> None:
        self._application = application
        self._patience = patience
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="request")

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        meta = environment_of(scope)
        length = announced_length(meta)
        body = RequestBody(receive, length, self._patience)
        try:
            # More than any view takes is for the view to refuse, before a byte of it is read.
            if length <= limits.MAX_PAYLOAD_SIZE:
                await body.fill(min(length, READ_AHEAD))
        except (BodyTooSlow, BodyCutShort) as error:
            await _refuse(send, error, request_id_of(meta.get("HTTP_X_REQUEST_ID", "")))
            return
        meta["wsgi.input"] = body
        answering = _Answering(body, receive, send, self._patience.seconds)
        await asyncio.get_running_loop().run_in_executor(
            self._threads, answering.run, self._application, meta
        )


class _Answering:
    """The part of one request that happens in a thread."""

    def __init__(self, body: RequestBody, receive: Receive, send: Send, seconds: float) -> None:
        self._body = body
        self._receive = receive
        self._send = send
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._head: dict[str, Any] = {}

    def run(self, application: Callable[..., Any], meta: Environment) -> None:
        response = application(meta, self._start)
        try:
            if getattr(response, "streaming", False):
                with suppress(_ClientGone):
                    self._stream(response)
            else:
                # Neither of the two waits for anything, so they need not go through the loop.
                self._send(self._head)
                self._send(_body(b"".join(response), more=False))
        finally:
            response.close()

    def _start(self, status: str, headers: list[tuple[str, str]], *_error: object) -> None:
        closing = [_CLOSE] if self._body.has_failed else []
        self._head = _head(int(status[:3]), [*headers, *closing])

    def _stream(self, response: Iterable[bytes]) -> None:
        gone = asyncio.run_coroutine_threadsafe(self._until_gone(), self._loop)
        try:
            self._send(self._head)
            for piece in response:
                if gone.done():
                    return
                asyncio.run_coroutine_threadsafe(self._sent(piece), self._loop).result()
            self._send(_body(b"", more=False))
        finally:
            gone.cancel()

    async def _sent(self, piece: bytes) -> None:
        """Wait until there is room; a client that takes nothing for so long has no claim on us."""
        try:
            async with asyncio.timeout(self._seconds):
                await self._send(_body(piece, more=True))
        except TimeoutError as error:
            raise _ClientGone from error

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass


async def _refuse(send: Send, error: BodyTooSlow | BodyCutShort, request_id: str) -> None:
    is_slow = isinstance(error, BodyTooSlow)
    told = RequestTimeout(str(error)) if is_slow else MalformedRequest(str(error))
    body = msgspec.json.encode(problem_of(told, request_id))
    headers = [
        ("Content-Type", CONTENT_TYPE),
        ("X-Request-Id", request_id),
        ("Cache-Control", "no-store"),
        _CLOSE,
    ]
    await send(_head(int(told.status), headers))
    await send(_body(body, more=False))


def _head(status: int, headers: list[tuple[str, str]]) -> dict[str, Any]:
    raw = [(name.lower().encode("latin-1"), text.encode("latin-1")) for name, text in headers]
    return {"type": "http.response.start", "status": status, "headers": raw}


def _body(piece: bytes, *, more: bool) -> dict[str, Any]:
    return {"type": "http.response.body", "body": piece, "more_body": more}
