"""A payload made ready for the wire: hashed, gzipped, out of memory where it is large."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO

from odavl.hub.transfer.progress import Progress, followed
from odavl.wire import deflate, limits
from odavl.wire.errors import LocalStorageFailed, PayloadTooLarge, UsageError

IN_MEMORY = 4 * limits.MEBIBYTE
"""What a ready payload may take in memory; a larger one lies in a temporary file."""

GZIP = "gzip"
IDENTITY = "identity"
PIECE = 64 * limits.KIBIBYTE
"""Bytes that are read at once; more would be asked of the system, and given back, each time."""

ALREADY_COMPRESSED = frozenset({"screenshot"})
"""Types whose payloads gzip does not make smaller."""


Pieces = Callable[[], Iterable[bytes]]
"""Gives a document in pieces, from its beginning and always the same, whenever it is called."""


@dataclass(kw_only=True)
class Payload(ABC):
    """What is sent, before gzip.

    ``size`` is None where nobody knows it before all of it is read. ``sha256`` is found when a
    large one is read for the first time, which is when it is cut or compressed.
    """

    size: int | None
    sha256: str | None = None

    @abstractmethod
    def pieces(self) -> Iterator[bytes]:
        """The bytes, as often as asked; one walk at a time.

        Raises :class:`LocalStorageFailed` where they cannot be read.
        """

    def name(self) -> str:
        """The SHA-256, in hex. Raises as :meth:`pieces` does."""
        if self.sha256 is None:
            digest = hashlib.sha256()
            for piece in self.pieces():
                digest.update(piece)
            self.sha256 = digest.hexdigest()
        return self.sha256


@dataclass(kw_only=True)
class Body(Payload):
    """One that lies in a seekable file, ``body``, whose ``body_size`` bytes can cross the wire."""

    size: int
    body: IO[bytes]
    body_size: int
    encoding: str

    def read(self) -> bytes:
        """The body as it crosses the wire."""
        self.body.seek(0)
        return self.body.read()

    def pieces(self) -> Iterator[bytes]:
        try:
            if self.encoding == GZIP:
                yield from _inflated(self.body)
            else:
                yield from _pieces(self.body)
        except (OSError, deflate.DeflateError) as error:
            raise LocalStorageFailed(f"The payload cannot be read: {error}.") from error


@dataclass(kw_only=True)
class _Document(Payload):
    """One that is made anew for each walk: it is nowhere whole, and cut while it is encoded."""

    make: Pieces
    begun: Iterable[bytes] | None
    """What the first walk takes: its beginning had to be looked at."""

    def pieces(self) -> Iterator[bytes]:
        pieces, self.begun = self.begun or self.make(), None
        yield from pieces


@contextmanager
def opened(source: bytes | Path | Pieces, upload_type: str) -> Iterator[Payload]:
    """``source`` as a :class:`Payload`, closed afterwards: made ready where it is small.

    A large one is read from where it lies, as it will travel in chunks that are compressed one by
    one. Raises as :func:`prepared` does.
    """
    if callable(source):
        pieces = iter(source())
        beginning = _beginning(pieces, limits.CHUNK_SIZE + 1)
        if sum(map(len, beginning)) > limits.CHUNK_SIZE:
            yield _Document(size=None, make=source, begun=chain(beginning, pieces))
            return
        source = b"".join(beginning)
    with _opened(source) as reading:
        size = reading.seek(0, os.SEEK_END)
        if size <= limits.CHUNK_SIZE:
            with prepared(source, upload_type) as small:
                yield small
            return
        check_size(size)
        yield Body(body=reading, body_size=size, encoding=IDENTITY, size=size)


@contextmanager
def compressed(
    payload: Payload, upload_type: str, on_progress: Progress | None = None
) -> Iterator[Body]:
    """``payload`` as one body on the wire takes it, and as it is kept."""
    if isinstance(payload, Body) and (
        payload.encoding == GZIP or upload_type in ALREADY_COMPRESSED
    ):
        yield payload
        return
    reading = followed(payload.pieces(), "compressing", payload.size, on_progress)
    with _encoded(reading, GZIP) as body:
        # Another name than this stays where the file has changed since it was read first.
        payload.sha256 = payload.sha256 or body.sha256
        yield body


@contextmanager
def prepared(source: bytes | Path, upload_type: str) -> Iterator[Body]:
    """``source`` wholly ready for the wire, closed afterwards.

    Raises :class:`UsageError` where a path is no regular file, :class:`LocalStorageFailed` where it
    cannot be read, :class:`PayloadTooLarge` for more than a hub may take.
    """
    encoding = IDENTITY if upload_type in ALREADY_COMPRESSED else GZIP
    with _opened(source) as reading, _encoded(_pieces(reading), encoding) as body:
        yield body


@contextmanager
def without_gzip(payload: Payload) -> Iterator[Body]:
    """``payload`` inflated again where need be, for a hub that takes no gzip."""
    if isinstance(payload, Body) and payload.encoding == IDENTITY:
        yield payload
        return
    with _encoded(payload.pieces(), IDENTITY) as body:
        yield body


def _inflated(body: IO[bytes]) -> Iterator[bytes]:
    inflater = deflate.inflater(deflate.GZIP)
    for block in _pieces(body):
        piece = block
        while piece:
            yield inflater.decompress(piece, PIECE)
            piece = inflater.unconsumed_tail
    yield inflater.flush()


def check_size(size: int) -> None:
    """Raises :class:`PayloadTooLarge` for more bytes than a hub may take."""
    if size > limits.MAX_INFLATED_SIZE:
        raise PayloadTooLarge(f"The payload is larger than {limits.MAX_INFLATED_SIZE} bytes.")


@contextmanager
def _encoded(pieces: Iterable[bytes], encoding: str) -> Iterator[Body]:
    """``pieces`` as a body, in memory where it is small."""
    with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY) as writing:
        try:
            size, sha256 = _write_encoded(pieces, writing, encoding)
        except OSError as error:
            raise LocalStorageFailed(
                f"The payload cannot be made ready: {error.strerror}."
            ) from error
        yield Body(
            body=writing, body_size=writing.tell(), encoding=encoding, size=size, sha256=sha256
        )


def _write_encoded(pieces: Iterable[bytes], writing: IO[bytes], encoding: str) -> tuple[int, str]:
    """Size and SHA-256 (hex) of what was read."""
    digest = hashlib.sha256()
    compressor = deflate.compressor(deflate.GZIP)
    size = 0
    for piece in pieces:
        size += len(piece)
        check_size(size)
        digest.update(piece)
        writing.write(compressor.compress(piece) if encoding == GZIP else piece)
    if encoding == GZIP:
        writing.write(compressor.flush())
    return size, digest.hexdigest()


def _beginning(pieces: Iterable[bytes], size: int) -> list[bytes]:
    """The first ``size`` bytes or some more, or all there are."""
    found = []
    for piece in pieces:
        found.append(piece)
        size -= len(piece)
        if size <= 0:
            break
    return found


def _pieces(reading: IO[bytes]) -> Iterator[bytes]:
    reading.seek(0)
    while piece := reading.read(PIECE):
        yield piece


@contextmanager
def _opened(source: bytes | Path) -> Iterator[IO[bytes]]:
    if isinstance(source, bytes):
        yield io.BytesIO(source)
        return
    try:
        # O_NONBLOCK: opening a FIFO must not wait for a writer that never comes.
        descriptor = os.open(source, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise LocalStorageFailed(f"{source} cannot be read: {error.strerror}.") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UsageError(f"{source} is not a regular file.")
    with os.fdopen(descriptor, "rb") as file:
        yield file


def read_regular_file(path: Path, *, limit: int = limits.MAX_INFLATED_SIZE) -> bytes:
    """The content of ``path``. Raises as :func:`prepared` does."""
    with _opened(path) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise PayloadTooLarge(f"{path} is larger than {limit} bytes.")
    return content
