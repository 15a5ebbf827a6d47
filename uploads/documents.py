"""Payloads as JSON: read item by item in bounded memory, read whole, or kept as they were sent."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from odavl.wire import limits
from odavl.wire.encoding import decode_json, decode_object, decode_part, gunzip, gunzip_pieces
from odavl.wire.errors import FieldError, InvalidPayload, MalformedJson, PayloadTooLarge
from uploads.contents import Content

MAX_HEADER_SIZE = 4 * limits.MEBIBYTE
"""Most JSON that everything but the list may take."""

MAX_ITEM_SIZE = 16 * limits.MEBIBYTE
HeaderT = TypeVar("HeaderT")
ItemT = TypeVar("ItemT")


def unwatched(_percent: int) -> None:
    pass


@dataclass(frozen=True, slots=True)
class LongDocument(Generic[HeaderT, ItemT]):
    """A kind of document: the name of its list, and what decodes the rest and one item."""

    list_name: str
    header: msgspec.json.Decoder[HeaderT]
    item: msgspec.json.Decoder[ItemT]

    def read(
        self,
        compressed: Iterable[bytes],
        each: Callable[[int, ItemT], None],
        *,
        size: int = 0,
        watch: Callable[[int], None] = unwatched,
    ) -> HeaderT:
        """Call ``each`` with the place and the value of every item; everything else is returned.

        ``compressed`` is the document's gzip form, ``size`` its inflated bytes, ``watch`` is told
        percent and may raise. Raises :class:`~odavl.wire.errors.RefusedError` with a pointer for
        what does not fit.
        """
        scanner = Scanner(gunzip_pieces(compressed))
        header: list[bytes] = []
        has_list = False
        for name in scanner.members():
            if decode_json(name, _STRING) != self.list_name:
                header.append(name + b":" + scanner.value())
                _check(sum(map(len, header)), MAX_HEADER_SIZE, "The document's head")
                continue
            self._check_list(scanner, seen=has_list)
            has_list = True
            for place, item in self._items(scanner):
                each(place, item)
                watch(_percent(scanner.read, size))
        scanner.end()
        return decode_json(b"{" + b",".join(header) + b"}", self.header)

    def first(self, compressed: Iterable[bytes], count: int) -> list[ItemT]:
        """The first items of a document that has been read before; no more is inflated."""
        scanner = Scanner(gunzip_pieces(compressed))
        found: list[ItemT] = []
        for name in scanner.members():
            if decode_json(name, _STRING) != self.list_name:
                scanner.value()
                continue
            for _, item in self._items(scanner):
                found.append(item)
                if len(found) == count:
                    return found
        return found

    def _items(self, scanner: Scanner) -> Iterator[tuple[int, ItemT]]:
        for place, raw in enumerate(scanner.elements()):
            _check(len(raw), MAX_ITEM_SIZE, f"/{self.list_name}/{place}")
            pointer = f"/{self.list_name}/{place}"
            yield place, decode_part(msgspec.Raw(raw), self.item, pointer)

    def _check_list(self, scanner: Scanner, *, seen: bool) -> None:
        pointer = f"/{self.list_name}"
        if seen:
            raise InvalidPayload(
                f"{self.list_name} stands twice in the document.",
                errors=(FieldError(pointer, "duplicate", "Only once."),),
            )
        if not scanner.is_array():
            raise InvalidPayload(
                "The document does not fit its schema.",
                errors=(FieldError(pointer, "invalid", "Expected `array`."),),
            )


def _check(size: int, most: int, what: str) -> None:
    if size > most:
        raise PayloadTooLarge(f"{what} takes more than {most} bytes.")


def _percent(read: int, size: int) -> int:
    return min(95, 95 * read // max(size, 1))


_STRING = msgspec.json.Decoder(str)


T = TypeVar("T")


def read_whole(content: Content, decoder: msgspec.json.Decoder[T], *, most: int) -> T:
    """``content`` as the decoder's type.

    Raises :class:`~odavl.wire.errors.PayloadTooLarge` for one of more than ``most`` inflated bytes,
    and what :func:`~odavl.wire.encoding.decode_json` finds wrong.
    """
    return decode_json(gunzip(content.pieces(), limit=most), decoder)


def check_object(content: Content) -> None:
    """Raises :class:`~odavl.wire.errors.RefusedError` for what is no JSON object.

    One that is too large to be held is looked at no further than its first character.
    """
    if content.size <= limits.MAX_ENVELOPE_SIZE:
        decode_object(gunzip(content.pieces(), limit=limits.MAX_ENVELOPE_SIZE))
    elif not next(gunzip_pieces(content.pieces())).lstrip().startswith(b"{"):
        raise InvalidPayload(
            "The document is no JSON object.", errors=(FieldError("", "invalid", "No object."),)
        )


MAX_VALUE_SIZE = 64 * limits.MEBIBYTE
"""Most bytes that one value may take: in Insight, the findings of one file."""

_SPACE = b" \t\r\n"
# A whole flat object (the usual finding), a string, or a bracket: whatever comes first.
_TOKEN = re.compile(
    rb'\{(?:[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+")*+\}|"(?:[^"\\]++|\\.)*+"|[{}\[\]]', re.DOTALL
)
_SCALAR = re.compile(rb"[^,\]}\s]+")
_DEPTH_CHANGE = {b"{": 1, b"[": 1, b"}": -1, b"]": -1}
_ANY: msgspec.json.Decoder[object] = msgspec.json.Decoder()


class Scanner:
    """A cursor over JSON bytes that knows where values end, and no more.

    Memory is bounded by the largest single value, at most :data:`MAX_VALUE_SIZE`.
    """

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._buffer = b""
        self._at = 0
        self.read = 0
        """Bytes that have been inflated."""

    def members(self) -> Iterator[bytes]:
        """Names of the object here; the caller takes each value before it asks for the next."""
        self._expect(b"{")
        if self._peek() == b"}":
            self._at += 1
            return
        while True:
            name = self.value()
            if not name.startswith(b'"'):
                raise MalformedJson("The document is not valid JSON: a name must be a string.")
            self._expect(b":")
            yield name
            if self._peek() == b",":
                self._at += 1
                self._peek()
                continue
            self._expect(b"}")
            return

    def elements(self) -> Iterator[bytes]:
        """The raw elements of the array here."""
        self._expect(b"[")
        if self._peek() == b"]":
            self._at += 1
            return
        while True:
            yield self.value()
            if self._peek() == b",":
                self._at += 1
                continue
            self._expect(b"]")
            return

    def is_array(self) -> bool:
        """Whether the value here is one."""
        return self._peek() == b"["

    def value(self) -> bytes:
        """The raw value here, whatever it is."""
        first = self._peek()
        if first not in (b"{", b"[", b'"'):
            return self._scalar()
        depth = length = 0
        while True:
            token = self._token(length)
            if token is None:
                if not self._more():
                    raise MalformedJson("The document is not valid JSON: it ends too early.")
                continue
            depth += _DEPTH_CHANGE.get(token.group(), 0)
            if depth > limits.MAX_NESTING:
                raise MalformedJson("The document is nested too deeply.")
            length = token.end() - self._at
            if depth <= 0:
                return self._take(length)

    def end(self) -> None:
        """Nothing but white space may follow."""
        if self._peek(at_end=True):
            raise MalformedJson("The document is not valid JSON: something follows its end.")

    def _token(self, length: int) -> re.Match[bytes] | None:
        """The next token behind ``length`` bytes of the value; None where it is not all there."""
        token = _TOKEN.search(self._buffer, self._at + length)
        # A quotation mark that was passed over opens a string whose end has not been inflated.
        if token and b'"' not in self._buffer[self._at + length : token.start()]:
            return token
        return None

    def _take(self, length: int) -> bytes:
        taken = self._buffer[self._at : self._at + length]
        self._at += length
        return taken

    def _scalar(self) -> bytes:
        while True:
            match = _SCALAR.match(self._buffer, self._at)
            if match is None:
                raise MalformedJson("The document is not valid JSON: a value is missing.")
            # One that touches the end of what is inflated may go on behind it.
            if match.end() < len(self._buffer) or not self._more():
                break
        scalar = match.group()
        decode_json(scalar, _ANY)
        self._at = match.end()
        return scalar

    def _expect(self, wanted: bytes) -> None:
        if self._peek() != wanted:
            raise MalformedJson(f"The document is not valid JSON: {wanted.decode()} is missing.")
        self._at += 1

    def _peek(self, *, at_end: bool = False) -> bytes:
        """The next byte that is not white space."""
        while True:
            while self._at < len(self._buffer) and self._buffer[self._at] in _SPACE:
                self._at += 1
            if self._at < len(self._buffer):
                return self._buffer[self._at : self._at + 1]
            if not self._more():
                if at_end:
                    return b""
                raise MalformedJson("The document is not valid JSON: it ends too early.")

    def _more(self) -> bool:
        """Drop what has been taken and append what comes next; False at the end.

        As much again as is here already: a value is looked at anew each time it turns out not to be
        whole, and piece by piece a long one would cost the square of its length.
        """
        here = [self._buffer[self._at :]]
        wanted = size = len(here[0])
        while size <= wanted * 2 and (piece := next(filter(None, self._pieces), None)) is not None:
            here.append(piece)
            size += len(piece)
            self.read += len(piece)
            if size > MAX_VALUE_SIZE:
                raise PayloadTooLarge(
                    f"One value of the document takes more than {MAX_VALUE_SIZE} bytes."
                )
        self._buffer, self._at = b"".join(here), 0
        return size > wanted
