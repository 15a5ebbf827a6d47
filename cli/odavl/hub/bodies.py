"""The body of an answer, read within bounds: a hub that was taken over must not fill our memory.

Only what we offer is inflated, piece by piece, and never further than the caller can use. HTTPX
would inflate a whole piece at once, a few kilobytes of brotli to more than a gigabyte.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import httpx

from odavl.wire import deflate, limits
from odavl.wire.errors import NotTheHub

OFFERED = "gzip"
"""What ``Accept-Encoding`` says."""

LARGEST = 16 * limits.MEBIBYTE
"""Bytes of an answer; the longest is a workspace's list of files."""

LARGEST_ERROR = limits.MEBIBYTE
_STEP = 64 * limits.KIBIBYTE


def bounded_body(response: httpx.Response, largest: int) -> bytes:
    """The body, inflated where it is gzip. Raises :class:`NotTheHub` for more than ``largest``.

    An error's body is held to :data:`LARGEST_ERROR`, whatever was wanted.
    """
    if response.is_error:
        largest = min(largest, LARGEST_ERROR)
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in {"", "identity", OFFERED}:
        raise NotTheHub("The answer is encoded in a way that was not asked for.")
    # What cannot be compressed is a little longer for it.
    raw = _within(response.iter_raw(), largest + largest // 8 + _STEP)
    try:
        return b"".join(_within(_inflated(raw) if encoding == OFFERED else raw, largest))
    except deflate.DeflateError as error:
        raise NotTheHub("The answer cannot be decoded.") from error


def _within(pieces: Iterable[bytes], largest: int) -> Iterator[bytes]:
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > largest:
            raise NotTheHub("The answer is larger than any a hub gives.")
        yield piece


def _inflated(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """All members, one after the other; one that ends too early is damaged."""
    inflater = deflate.inflater(deflate.GZIP)
    is_begun = False
    for piece in pieces:
        rest = piece
        while rest:
            if inflater.eof:
                inflater = deflate.inflater(deflate.GZIP)
            is_begun = True
            yield inflater.decompress(rest, _STEP)
            rest = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
    if is_begun and not inflater.eof:
        # What it holds back fits into a step; more would have left an unconsumed tail.
        yield inflater.flush()
        if not inflater.eof:
            raise NotTheHub("The answer ends too early.")
