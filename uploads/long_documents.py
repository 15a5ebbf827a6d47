"""A JSON object with one list in it that may be long, read item by item in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from odavl.wire import limits
from odavl.wire.encoding import decode_json, decode_part, gunzip_pieces
from odavl.wire.errors import FieldError, InvalidPayload, PayloadTooLarge
from uploads.scanning import Scanner

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
