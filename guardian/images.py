"""What a picture is, by its own first bytes: nothing that is said about it is believed.

PNG: Portable Network Graphics (Third Edition), W3C, sections 5.2 and 11.2.1.
JPEG: ITU-T T.81, sections B.1.1 and B.2.2.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from odavl.wire import limits
from odavl.wire.errors import FieldError, InvalidPayload, UnsupportedMedia

MAX_SIDE = 65_535
"""Pixels; more than any browser draws at once."""

_LOOKED_AT = limits.MEBIBYTE
"""A JPEG's size stands behind what cameras and editors wrote about it, which takes less."""

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_HEADER = b"\x00\x00\x00\x0dIHDR"
_JPEG = b"\xff\xd8\xff"
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers that begin a frame; the three left out are tables and a reserved one."""

_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers without a segment behind them."""

_MARKER = 0xFF
_LENGTH_SIZE = 2
_FRAME_SIZE = 7


class Picture(NamedTuple):
    """``width`` and ``height`` in pixels."""

    content_type: str
    width: int
    height: int


def picture_of(pieces: Iterable[bytes]) -> Picture:
    """What the bytes are.

    Raises :class:`UnsupportedMedia` for anything but PNG and JPEG, :class:`InvalidPayload` for one
    of these that is broken or too large to be shown.
    """
    start = _beginning(pieces)
    if start.startswith(_PNG):
        found = Picture("image/png", *_png_size(start))
    elif start.startswith(_JPEG):
        found = Picture("image/jpeg", *_jpeg_size(start))
    else:
        raise UnsupportedMedia("A screenshot is a PNG or a JPEG; these bytes are neither.")
    if not (0 < found.width <= MAX_SIDE and 0 < found.height <= MAX_SIDE):
        raise _broken(f"A screenshot has from 1 to {MAX_SIDE} pixels on a side.")
    return found


def _beginning(pieces: Iterable[bytes]) -> bytes:
    start = b""
    for piece in pieces:
        start += piece
        if len(start) >= _LOOKED_AT:
            break
    return start[:_LOOKED_AT]


def _png_size(start: bytes) -> tuple[int, int]:
    header = start[len(_PNG) : len(_PNG) + 16]
    if not header.startswith(_PNG_HEADER) or len(header) < 16:  # noqa: PLR2004 - as cut above
        raise _broken("The PNG has no header.")
    return int.from_bytes(header[8:12]), int.from_bytes(header[12:16])


def _jpeg_size(start: bytes) -> tuple[int, int]:
    at = 2
    while at + 1 < len(start) and start[at] == _MARKER:
        marker = start[at + 1]
        if marker == _MARKER:  # any number of them may fill up
            at += 1
            continue
        at += 2
        if marker in _ALONE:
            continue
        segment = start[at : at + _FRAME_SIZE]
        length = int.from_bytes(segment[:2])
        if marker in _FRAMES and len(segment) == _FRAME_SIZE and length >= _FRAME_SIZE:
            return int.from_bytes(segment[5:7]), int.from_bytes(segment[3:5])
        if length < _LENGTH_SIZE:
            break
        at += length
    raise _broken("The JPEG has no frame.")


def _broken(detail: str) -> InvalidPayload:
    return InvalidPayload(detail, errors=(FieldError("", "invalid", "Not a whole picture."),))
