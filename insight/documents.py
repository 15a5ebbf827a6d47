"""Every kind of Insight payload as one kind of document."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from insight.large_payload import LargeDocument
from insight.payload import RESIDENT_LIMIT, Document, Header, ResidentDocument
from insight.rows import Source
from odavl.wire.encoding import decode_json, gunzip
from odavl.wire.envelope import detector_of_type
from odavl.wire.sarif import SARIF_DECODER
from storage import services as storage
from uploads.models import Upload

STORED_ONLY = frozenset({"ml-training", "error-signatures"})
"""Types that are kept as they are and make no run."""


def open_document(upload: Upload) -> Document:
    """The stored payload of ``upload``, ready to be walked through."""
    stored = upload.stored
    return document_of(upload.type, lambda: storage.pieces_of(stored), stored.size)


def document_of(upload_type: str, compressed: Callable[[], Iterable[bytes]], size: int) -> Document:
    """A payload of ``size`` inflated bytes; ``compressed`` gives its gzip form in pieces.

    Raises :class:`~odavl.wire.errors.RefusedError` for one that cannot be read.
    """
    if upload_type == "sarif":
        # Loaded where it is needed: most hubs never see the format.
        from odavl.engines.insight.sarif_import import results_from_sarif  # noqa: PLC0415

        log = decode_json(gunzip(compressed()), SARIF_DECODER)
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
