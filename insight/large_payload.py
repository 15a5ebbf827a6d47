"""A document that is too large to be inflated whole, read piece by piece.

The bytes are inflated in steps of 256 KiB and scanned for the borders of values: the members of
``diagnostics`` are handed out one file at a time, the other members make the header. Memory is
bounded by the largest single file's findings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

import msgspec

from insight.payload import CONTROL_ESCAPE, File, Header, clean_path
from odavl.wire import limits
from odavl.wire.encoding import decode_json, gunzip_pieces
from odavl.wire.errors import FieldError, InvalidPayload, MalformedJson, PayloadTooLarge

MAX_FILE_SIZE = 64 * limits.MEBIBYTE
"""Most JSON that one file's findings may take."""

_SPACE = b" \t\r\n"
# A whole flat object (the usual finding), a string, or a bracket: whatever comes first.
_TOKEN = re.compile(
    rb'\{(?:[^"{}\[\]]|"(?:[^"\\]|\\.)*+")*+\}|"(?:[^"\\]|\\.)*+"|[{}\[\]]', re.DOTALL
)
_SCALAR = re.compile(rb"[^,\]}\s]+")
_DEPTH_CHANGE = {b"{": 1, b"[": 1, b"}": -1, b"]": -1}
_ANY: msgspec.json.Decoder[object] = msgspec.json.Decoder()


class LargeDocument:
    """Walks through a document as often as asked; ``compressed`` gives its gzip form in pieces."""

    def __init__(self, compressed: Callable[[], Iterable[bytes]]) -> None:
        self._compressed = compressed
        self._header: Header | None = None

    @property
    def header(self) -> Header:
        """Everything but the findings; found by one walk without decoding them."""
        if self._header is None:
            for _ in self._walk():
                pass
        assert self._header is not None  # noqa: S101 - the walk ends by setting it
        return self._header

    def files(self) -> Iterator[File]:
        seen: set[bytes] = set()
        for name, value in self._walk():
            path = clean_path(decode_json(name, _STRING))
            if name in seen:
                raise InvalidPayload(
                    "A path stands twice in the document.",
                    errors=(FieldError("/diagnostics", "duplicate_path", path[:200]),),
                )
            seen.add(name)
            yield File(path, msgspec.Raw(value), CONTROL_ESCAPE in value)

    def _scanner(self) -> _Scanner:
        return _Scanner(gunzip_pieces(self._compressed()))

    def _walk(self) -> Iterator[tuple[bytes, bytes]]:
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


class _Scanner:
    """A cursor over JSON bytes that knows where values end, and no more."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._buffer = b""
        self._at = 0

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
        """Append the next piece and drop what has been taken; False at the end."""
        piece = next(filter(None, self._pieces), None)
        if piece is None:
            return False
        self._buffer = self._buffer[self._at :] + piece
        self._at = 0
        if len(self._buffer) > MAX_FILE_SIZE:
            raise PayloadTooLarge(f"The findings of one file take more than {MAX_FILE_SIZE} bytes.")
        return True


_STRING = msgspec.json.Decoder(str)
_HEADER = msgspec.json.Decoder(Header)
