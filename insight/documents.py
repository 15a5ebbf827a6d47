"""Every kind of Insight payload as one kind of document."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import IO

import msgspec

from insight.large_payload import LargeDocument
from insight.payload import RESIDENT_LIMIT, Document, Header, ResidentDocument
from insight.rows import Source
from odavl.wire import limits
from odavl.wire.encoding import gunzip
from odavl.wire.envelope import detector_of_type
from odavl.wire.sarif import decode_sarif
from storage import services as storage
from uploads.models import Upload

_PIECE_SIZE = 256 * limits.KIBIBYTE


@contextmanager
def opened_document(upload: Upload) -> Iterator[Document]:
    """The stored payload of ``upload``, ready to be walked through.

    One that is too large to be resident is put aside in a file: it is walked while COPY has the
    connection that its parts would be looked up with, and more than once, which a store that is
    far away should not notice.
    """
    stored = upload.stored
    if stored.size <= RESIDENT_LIMIT:
        yield document_of(upload.type, lambda: storage.pieces_of(stored), stored.size)
        return
    with tempfile.TemporaryFile() as file:
        file.writelines(storage.pieces_of(stored))
        file.flush()
        yield document_of(upload.type, lambda: _pieces_of_file(file), stored.size)


def _pieces_of_file(file: IO[bytes]) -> Iterator[bytes]:
    """From the start, whatever other walks through the file are under way."""
    at = 0
    while piece := os.pread(file.fileno(), _PIECE_SIZE, at):
        yield piece
        at += len(piece)


def document_of(upload_type: str, compressed: Callable[[], Iterable[bytes]], size: int) -> Document:
    """A payload of ``size`` inflated bytes; ``compressed`` gives its gzip form in pieces.

    Raises :class:`~odavl.wire.errors.RefusedError` for one that cannot be read.
    """
    if upload_type == "sarif":
        # Loaded where it is needed: most hubs never see the format.
        from odavl.engines.insight.sarif_import import results_from_sarif  # noqa: PLC0415

        log = decode_sarif(gunzip(compressed()))
        return ResidentDocument(msgspec.json.encode(results_from_sarif(log, root=None)))
    if size > RESIDENT_LIMIT:
        return LargeDocument(compressed)
    return ResidentDocument(gunzip(compressed()))


def source_of(upload_type: str, header: Header) -> Source:
    """The detector of findings that name none."""
    named = detector_of_type(upload_type)
    if named:
        return Source(named, forced=True)
    if header.scope and len(header.scope.detectors) == 1:
        return Source(header.scope.detectors[0].name)
    return Source("unnamed")
