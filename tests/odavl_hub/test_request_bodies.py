"""Bodies that come slowly, in pieces, or not at all: on a loop whose time is real."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest

from odavl_hub.front_door.request_body import BodyCutShort, BodyTooSlow, ClientDeadline, RequestBody

Message = dict[str, Any]
T = TypeVar("T")


def pieces(
    *bodies: bytes, every: float = 0.0, ends: bool = True
) -> Callable[[], Awaitable[Message]]:
    """A client that sends a piece ``every`` so many seconds, and then nothing more."""
    left = list(bodies)

    async def receive() -> Message:
        await asyncio.sleep(every if left else 60)
        body = left.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(left) or not ends}

    return receive


def run(work: Coroutine[Any, Any, T]) -> T:
    """In a thread of its own: a browser's test may have left a loop in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


async def filled(
    receive: Callable[[], Awaitable[Message]], length: int, deadline: ClientDeadline
) -> tuple[BaseException | None, float, RequestBody]:
    body = RequestBody(receive, length, deadline)
    start = time.monotonic()
    try:
        await body.fill(length)
    except OSError as error:
        return error, time.monotonic() - start, body
    return None, time.monotonic() - start, body


def test_pieces_that_come_in_time_are_the_body():
    receive = pieces(b"ab", b"", b"cd", b"e", every=0.6)
    error, seconds, body = run(filled(receive, 5, ClientDeadline(seconds=2, rate=1)))
    assert error is None
    assert seconds > 2  # longer than the patience for silence, which each piece renews
    assert body.read(2) + body.read() == b"abcde"
    assert body.read() == b""


def test_silence_ends_the_wait():
    receive = pieces(b"ab", every=0.1, ends=False)
    error, seconds, body = run(filled(receive, 5, ClientDeadline(seconds=0.3, rate=1)))
    assert isinstance(error, BodyTooSlow)
    assert seconds > 0.3
    assert body.has_failed


def test_a_drip_ends_although_there_is_never_silence():
    receive = pieces(*[b"x"] * 100, every=0.05)
    error, seconds, _ = run(filled(receive, 100, ClientDeadline(seconds=0.3, rate=100)))
    assert isinstance(error, BodyTooSlow)
    assert seconds > 0.3


def test_a_body_that_ends_early_is_cut_short():
    error, _, body = run(filled(pieces(b"ab"), 5, ClientDeadline()))
    assert isinstance(error, BodyCutShort)
    assert body.has_failed


@pytest.mark.parametrize("size", [1, 3, 4_096, -1])
def test_a_thread_reads_what_is_still_to_come(size: int):
    sent = [bytes([n]) * 1_000 for n in range(40)]

    async def read() -> bytes:
        body = RequestBody(pieces(*sent), 40_000, ClientDeadline())
        await body.fill(1)
        return await asyncio.to_thread(_all_of, body, size)

    assert run(read()) == b"".join(sent)


def _all_of(body: RequestBody, size: int) -> bytes:
    parts = []
    while part := body.read(size):
        parts.append(part)
    return b"".join(parts)
