"""A payload made ready for the wire: hashed, gzipped, out of memory where it is large."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from odavl.hub.progress import Progress, followed
from odavl.wire import limits
from odavl.wire.errors import LocalStorageFailed, PayloadTooLarge, UsageError

IN_MEMORY = 4 * limits.MEBIBYTE
"""What a ready payload may take in memory; a larger one lies in a temporary file."""

GZIP = "gzip"
IDENTITY = "identity"
_PIECE = 256 * limits.KIBIBYTE
ALREADY_COMPRESSED = frozenset({"screenshot"})
"""Types whose payloads gzip does not make smaller."""


@dataclass(frozen=True, kw_only=True)
class Payload:
    """``body`` is a seekable file of ``body_size`` bytes as they cross the wire.

    ``size`` and ``sha256`` are those of the payload itself, before gzip.
    """

    body: IO[bytes]
    body_size: int
    encoding: str
    size: int
    sha256: str

    def read(self) -> bytes:
        """The body as it crosses the wire."""
        self.body.seek(0)
        return self.body.read()

    def pieces(self) -> Iterator[bytes]:
        """The payload itself, as often as asked; one walk at a time.

        Raises :class:`LocalStorageFailed` where it cannot be read.
        """
        try:
            if self.encoding == GZIP:
                yield from _inflated(self.body)
            else:
                yield from _pieces(self.body)
        except (OSError, zlib.error) as error:
            raise LocalStorageFailed(f"The payload cannot be read: {error}.") from error


@contextmanager
def opened(
    source: bytes | Path, upload_type: str, on_progress: Progress | None = None
) -> Iterator[Payload]:
    """``source`` as a :class:`Payload`, closed afterwards: made ready where it is small.

    A large one is read from where it lies, as it will travel in chunks that are compressed one by
    one. Raises as :func:`prepared` does.
    """
    with _opened(source) as reading:
        size = reading.seek(0, os.SEEK_END)
        if size <= limits.CHUNK_SIZE:
            with prepared(source, upload_type) as small:
                yield small
            return
        try:
            yield _measured(reading, size, on_progress)
        except OSError as error:
            raise LocalStorageFailed(f"The payload cannot be read: {error.strerror}.") from error


@contextmanager
def compressed(
    payload: Payload, upload_type: str, on_progress: Progress | None = None
) -> Iterator[Payload]:
    """``payload`` as one body on the wire takes it, and as it is kept."""
    if payload.encoding == GZIP or upload_type in ALREADY_COMPRESSED:
        yield payload
        return
    with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY) as writing:
        try:
            size, sha256 = _copy_encoded(payload.body, writing, GZIP, on_progress)
        except OSError as error:
            raise LocalStorageFailed(
                f"The payload cannot be made ready: {error.strerror}."
            ) from error
        yield Payload(
            body=writing, body_size=writing.tell(), encoding=GZIP, size=size, sha256=sha256
        )


@contextmanager
def prepared(source: bytes | Path, upload_type: str) -> Iterator[Payload]:
    """``source`` as a :class:`Payload` that is wholly ready for the wire, closed afterwards.

    Raises :class:`UsageError` where a path is no regular file, :class:`LocalStorageFailed` where it
    cannot be read, :class:`PayloadTooLarge` for more than a hub may take.
    """
    encoding = IDENTITY if upload_type in ALREADY_COMPRESSED else GZIP
    with (
        _opened(source) as reading,
        tempfile.SpooledTemporaryFile(max_size=IN_MEMORY) as writing,
    ):
        try:
            size, sha256 = _copy_encoded(reading, writing, encoding)
        except OSError as error:
            raise LocalStorageFailed(
                f"The payload cannot be made ready: {error.strerror}."
            ) from error
        yield Payload(
            body=writing, body_size=writing.tell(), encoding=encoding, size=size, sha256=sha256
        )


@contextmanager
def without_gzip(payload: Payload) -> Iterator[Payload]:
    """``payload`` inflated again where need be, for a hub that takes no gzip."""
    if payload.encoding == IDENTITY:
        yield payload
        return
    with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY) as writing:
        for piece in payload.pieces():
            writing.write(piece)
        yield replace(payload, body=writing, body_size=writing.tell(), encoding=IDENTITY)


def _inflated(body: IO[bytes]) -> Iterator[bytes]:
    inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)
    for block in _pieces(body):
        piece = block
        while piece:
            yield inflater.decompress(piece, _PIECE)
            piece = inflater.unconsumed_tail
    yield inflater.flush()


def _measured(reading: IO[bytes], expected: int, on_progress: Progress | None) -> Payload:
    digest = hashlib.sha256()
    size = 0
    for piece in followed(_pieces(reading), "reading", expected, on_progress):
        size += len(piece)
        _check_size(size)
        digest.update(piece)
    return Payload(
        body=reading, body_size=size, encoding=IDENTITY, size=size, sha256=digest.hexdigest()
    )


def _check_size(size: int) -> None:
    if size > limits.MAX_INFLATED_SIZE:
        raise PayloadTooLarge(f"The payload is larger than {limits.MAX_INFLATED_SIZE} bytes.")


def _copy_encoded(
    reading: IO[bytes], writing: IO[bytes], encoding: str, on_progress: Progress | None = None
) -> tuple[int, str]:
    """Size and SHA-256 (hex) of what was read."""
    digest = hashlib.sha256()
    compressor = zlib.compressobj(1, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    size = 0
    expected = reading.seek(0, os.SEEK_END)
    for piece in followed(_pieces(reading), "compressing", expected, on_progress):
        size += len(piece)
        _check_size(size)
        digest.update(piece)
        writing.write(compressor.compress(piece) if encoding == GZIP else piece)
    if encoding == GZIP:
        writing.write(compressor.flush())
    return size, digest.hexdigest()


def _pieces(reading: IO[bytes]) -> Iterator[bytes]:
    reading.seek(0)
    while piece := reading.read(_PIECE):
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
