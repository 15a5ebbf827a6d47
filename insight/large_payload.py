"""A document that is too large to be inflated whole, read piece by piece.

The bytes are inflated in steps of 256 KiB and scanned for the borders of values: the members of
``diagnostics`` are handed out one file at a time, the other members make the header. Memory is
bounded by the largest single file's findings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import msgspec

from insight.payload import CONTROL_ESCAPE, File, Header, clean_path
from odavl.wire.encoding import decode_json, gunzip_pieces
from odavl.wire.errors import FieldError, InvalidPayload
from uploads.documents import Scanner


class LargeDocument:
    """Reads a document as often as asked; ``compressed`` gives its gzip form in pieces."""

    def __init__(self, compressed: Callable[[], Iterable[bytes]]) -> None:
        self._compressed = compressed
        self._header: Header | None = None

    @property
    def header(self) -> Header:
        """Everything but the findings; found by reading all once, without decoding them."""
        while self._header is None:  # one reading to its end sets it, or raises
            for _ in self._read():
                pass
        return self._header

    def files(self) -> Iterator[File]:
        seen: set[bytes] = set()
        for name, value in self._read():
            path = clean_path(decode_json(name, _STRING))
            if name in seen:
                raise InvalidPayload(
                    "A path stands twice in the document.",
                    errors=(FieldError("/diagnostics", "duplicate_path", path[:200]),),
                )
            seen.add(name)
            yield File(path, msgspec.Raw(value), CONTROL_ESCAPE in value)

    def _scanner(self) -> Scanner:
        return Scanner(gunzip_pieces(self._compressed()))

    def _read(self) -> Iterator[tuple[bytes, bytes]]:
        """Each member of ``diagnostics`` as raw name and raw value."""
        scanner = self._scanner()
        header: list[bytes] = []
        found = False
        for name in scanner.members():
            if decode_json(name, _STRING) == "diagnostics":
                found = True
                for path in scanner.members():
                    yield path, scanner.value()
            else:
                header.append(name + b":" + scanner.value())
        scanner.end()
        if not found:
            raise InvalidPayload(
                "The document has no findings.",
                errors=(FieldError("/diagnostics", "missing", "Required."),),
            )
        self._header = decode_json(b"{" + b",".join(header) + b"}", _HEADER)


_STRING = msgspec.json.Decoder(str)
_HEADER = msgspec.json.Decoder(Header)
