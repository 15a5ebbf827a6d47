"""Bytes to documents and back, with bounds: nothing that a stranger sends is trusted.

Sizes are bytes. Every failure is one of :class:`~odavl.wire.errors.RefusedError`.
"""

from __future__ import annotations

import binascii
import codecs
import hashlib
import re
from base64 import b64decode
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import msgspec

from odavl.wire import limits
from odavl.wire.deflate import GZIP, DeflateError, compressor, inflater
from odavl.wire.errors import (
    FieldError,
    InvalidPayload,
    MalformedBase64,
    MalformedGzip,
    MalformedJson,
    PayloadTooLarge,
)

_STEP = 256 * limits.KIBIBYTE
_PLACE = re.compile(r" - at `(?P<path>[^`]*)`$")
_STEP_IN_PATH = re.compile(r"\.(?P<field>[^.\[\]]+)|\[(?P<index>\d+|\.\.\.)\]")
_LONE_SURROGATE = re.compile(
    rb"(?<!\\)((?:\\\\)*)"
    rb"(?:(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    # Before those of UTF-16, with which UTF-32's begins.
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
T = TypeVar("T")
VISIBLE_NUL = "␀"


def sha256_hex(data: bytes) -> str:
    """The name of a payload: lower-case hex of its SHA-256."""
    return hashlib.sha256(data).hexdigest()


def gzip_compress(data: bytes) -> bytes:
    """Gzip without a time stamp, so that equal data give equal bytes."""
    packer = compressor(GZIP)
    return packer.compress(data) + packer.flush()


def gunzip_pieces(
    data: bytes | Iterable[bytes], *, limit: int = limits.MAX_INFLATED_SIZE
) -> Iterator[bytes]:
    """Inflate one gzip member piece by piece, so that a bomb is found before it is in memory.

    ``data`` may come in pieces itself; no more than one of them is held.

    Raises :class:`MalformedGzip` for a truncated or damaged stream and for bytes after its end,
    :class:`PayloadTooLarge` once more than ``limit`` bytes come out.
    """
    unpacker = inflater(GZIP)
    sources = iter((data,) if isinstance(data, bytes) else data)
    total = 0
    pending = b""
    while not unpacker.eof:
        try:
            piece = unpacker.decompress(pending, _STEP)
        except DeflateError as error:
            raise MalformedGzip(f"The gzip stream is damaged: {error}.") from error
        total += len(piece)
        if total > limit:
            raise PayloadTooLarge(f"The data inflates to more than {limit} bytes.")
        if piece:
            yield piece
        pending = unpacker.unconsumed_tail
        if not piece and not pending and not unpacker.eof:
            pending = next(filter(None, sources), b"")
            if not pending:
                raise MalformedGzip("The gzip stream ends too early.")
    if unpacker.unused_data or any(sources):
        raise MalformedGzip("There are bytes after the end of the gzip stream.")


def gunzip(data: bytes | Iterable[bytes], *, limit: int = limits.MAX_INFLATED_SIZE) -> bytes:
    """The whole of :func:`gunzip_pieces`."""
    return b"".join(gunzip_pieces(data, limit=limit))


def decode_base64(text: str) -> bytes:
    """Strict base64 (RFC 4648, section 4): no white space, no other alphabet, right padding."""
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedBase64(f"The data is not valid base64: {error}.") from error


def decode_json(body: bytes | msgspec.Raw, decoder: msgspec.json.Decoder[T]) -> T:
    """``body`` as the decoder's type.

    NUL characters and lone surrogates are kept with a visible mark (``␀``, ``�``): databases and
    terminals take neither, and dropping a finding for one would lose it.
    """
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise InvalidPayload(
            "The document does not fit its schema.", errors=(_field_error(str(error)),)
        ) from error
    except RecursionError as error:
        raise MalformedJson("The document is nested too deeply.") from error
    except UnicodeDecodeError as error:
        raise MalformedJson("The document is not valid UTF-8.") from error
    except msgspec.DecodeError as error:
        repaired = _LONE_SURROGATE.sub(_keep_pairs, bytes(body))
        if repaired != body:
            return decode_json(repaired, decoder)
        raise MalformedJson(f"The document is not valid JSON: {error}.") from error


def as_utf8(body: bytes) -> bytes:
    """JSON without its byte order mark, in UTF-8 whichever encoding the mark tells.

    RFC 8259, section 8.1: a reader may ignore the mark. Windows' own tools write it, and UTF-16.
    Raises :class:`MalformedJson` where the bytes are not what the mark says.
    """
    for mark, encoding in _MARKS:
        if body.startswith(mark):
            if encoding == "utf-8":
                return body[len(mark) :]
            try:
                return body[len(mark) :].decode(encoding).encode()
            except UnicodeError as error:
                raise MalformedJson(f"The document is not valid {encoding.upper()}.") from error
    return body


def decode_part(part: msgspec.Raw, decoder: msgspec.json.Decoder[T], pointer: str) -> T:
    """A part of a document that was left as it came; an error points into the whole document.

    ``pointer`` is where the part stands. Raises as :func:`decode_json` does.
    """
    try:
        return decode_json(part, decoder)
    except InvalidPayload as error:
        places = tuple(
            FieldError(pointer + place.pointer, place.code, place.detail) for place in error.errors
        )
        raise InvalidPayload(error.detail, errors=places) from error


def pointer_token(text: str) -> str:
    """One step of a JSON pointer (RFC 6901, section 3)."""
    return text.replace("~", "~0").replace("/", "~1")


def visible(text: str) -> str:
    """``text`` with NUL made visible."""
    return text.replace("\x00", VISIBLE_NUL) if "\x00" in text else text


def shortened(text: str, most: int) -> str:
    """``text`` with NUL made visible and at most ``most`` characters; an ellipsis tells of more."""
    kept = visible(text)
    return kept if len(kept) <= most else kept[: most - 1] + "…"


def decode_object(body: bytes) -> dict[str, Any]:
    """``body`` as a JSON object of any content."""
    return decode_json(body, _OBJECT)


_OBJECT = msgspec.json.Decoder(dict[str, Any])


def _keep_pairs(match: re.Match[bytes]) -> bytes:
    return match[1] + (match[2] or b"\\ufffd")


def _field_error(message: str) -> FieldError:
    place = _PLACE.search(message)
    detail = message[: place.start()] if place else message
    pointer = ""
    if place:
        steps = (step["field"] or step["index"] for step in _STEP_IN_PATH.finditer(place["path"]))
        pointer = "".join(f"/{'*' if step == '...' else step}" for step in steps)
    return FieldError(pointer=pointer, code="invalid", detail=detail)
