"""The ASGI application that granian calls: it waits for clients, and threads for nobody."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import msgspec

from frame.request_ids import request_id_of
from odavl.wire import limits
from odavl.wire.errors import (
    MalformedRequest,
    OdavlError,
    RequestTimeout,
    ServiceUnavailable,
)
from odavl.wire.health import Liveness
from odavl.wire.problem import CONTENT_TYPE, problem_of
from odavl_hub.front_door import connections, health_probe
from odavl_hub.front_door.capacity import Capacity
from odavl_hub.front_door.request_body import (
    READ_AHEAD,
    BodyCutShort,
    BodyTooSlow,
    ClientDeadline,
    Receive,
    RequestBody,
)
from odavl_hub.front_door.responses import (
    CLOSE,
    Answer,
    Outbox,
    Send,
    SendNow,
    body_of,
    head_of,
    run_application,
)
from odavl_hub.front_door.wsgi_environ import (
    Environment,
    announced_length,
    client_of,
    environment_of,
)

_RETRY_SECONDS = "1"


class AsgiBridge:
    """Serves ``application`` (WSGI, Django's).

    A body is waited for here, up to :data:`READ_AHEAD`; so clients that are slow, or that only
    pretend to send, cost memory and none of the threads. The rest of a larger one is read by the
    view, which has looked at the key by then.
    """

    def __init__(
        self,
        application: Callable[..., Any],
        *,
        capacity: Capacity,
        deadline: ClientDeadline,
    ) -> None:
        self._application = application
        self._client_deadline = deadline
        self._places = capacity.places
        self._taken = 0
        self._threads = ThreadPoolExecutor(capacity.threads, thread_name_prefix="request")
        self._outbox = Outbox(places=capacity.places, threads=capacity.fetching, deadline=deadline)
        self._probe_threads = ThreadPoolExecutor(health_probe.THREADS, thread_name_prefix="probe")
        self._answered: Counter[connections.Address] = Counter()
        if connections.ARE_MONITORED:
            monitor = connections.ConnectionMonitor(
                places=capacity.connections,
                deadline=deadline,
                is_answered=self._answered.__contains__,
            )
            threading.Thread(target=_monitor, args=(monitor,), daemon=True).start()

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        meta = environment_of(scope)
        if meta["PATH_INFO"] == health_probe.LIVENESS and meta["REQUEST_METHOD"] in {"GET", "HEAD"}:
            await _say(send, meta, 200, Liveness())
            return
        with self._answering(client_of(meta)):
            answer = await self._answer(meta, receive, send)
            if answer is None:
                return
            if self._outbox.make_room():
                await self._outbox.deliver(answer, receive, send)
            else:
                await self._outbox.drop(answer)
                await _refuse(send, meta, _too_much())

    @contextmanager
    def _answering(self, client: connections.Address) -> Iterator[None]:
        self._answered[client] += 1
        try:
            yield
        finally:
            self._answered[client] -= 1
            if not self._answered[client]:
                del self._answered[client]

    async def _answer(self, meta: Environment, receive: Receive, send: Send) -> Answer | None:
        """What is to be sent, unless it was said already."""
        if meta["PATH_INFO"] in health_probe.OVERDUE:
            return await self._probe(meta, receive, send)
        if self._taken >= self._places:
            await _refuse(send, meta, _too_much())
            return None
        self._taken += 1
        try:
            return await self._received(meta, receive, send, self._threads)
        except (BodyTooSlow, BodyCutShort) as error:
            is_slow = isinstance(error, BodyTooSlow)
            told = RequestTimeout(str(error)) if is_slow else MalformedRequest(str(error))
            await _refuse(send, meta, told)
            return None
        finally:
            self._taken -= 1

    async def _received(
        self, meta: Environment, receive: Receive, send: SendNow, threads: ThreadPoolExecutor
    ) -> Answer | None:
        length = announced_length(meta)
        body = RequestBody(receive, length, self._client_deadline)
        # More than any view takes is for the view to refuse, before a byte of it is read.
        if length <= limits.MAX_PAYLOAD_SIZE:
            await body.fill(min(length, READ_AHEAD))
        meta["wsgi.input"] = body
        return await asyncio.get_running_loop().run_in_executor(
            threads, run_application, self._application, meta, body, send
        )

    async def _probe(self, meta: Environment, receive: Receive, send: Send) -> Answer | None:
        said: list[dict[str, Any]] = []
        try:
            async with asyncio.timeout(health_probe.SECONDS):
                # Held back: what comes too late must not be said beside what is said instead.
                answer = await self._received(meta, receive, said.append, self._probe_threads)
        except (TimeoutError, ConnectionError):
            overdue = health_probe.OVERDUE[meta["PATH_INFO"]]()
            await _say(send, meta, 503, overdue, headers=[CLOSE])
            return None
        for message in said:
            await send(message)
        return answer


def _monitor(monitor: connections.ConnectionMonitor) -> None:
    while True:
        time.sleep(connections.EVERY)
        monitor.check(time.monotonic())


def _too_much() -> OdavlError:
    return ServiceUnavailable("The hub has more requests in hand than it can answer.")


async def _refuse(send: Send, meta: Environment, error: OdavlError) -> None:
    request_id = request_id_of(meta.get("HTTP_X_REQUEST_ID", ""))
    again = [("Retry-After", _RETRY_SECONDS)] if isinstance(error, ServiceUnavailable) else []
    await _say(
        send,
        meta,
        int(error.status),
        problem_of(error, request_id),
        content_type=CONTENT_TYPE,
        headers=[*again, CLOSE],
    )


async def _say(
    send: Send,
    meta: Environment,
    status: int,
    document: msgspec.Struct,
    *,
    content_type: str = "application/json",
    headers: Iterable[tuple[str, str]] = (),
) -> None:
    common = [
        ("Content-Type", content_type),
        ("X-Request-Id", request_id_of(meta.get("HTTP_X_REQUEST_ID", ""))),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
    ]
    await send(head_of(status, [*common, *headers]))
    await send(body_of(msgspec.json.encode(document), more=False))
