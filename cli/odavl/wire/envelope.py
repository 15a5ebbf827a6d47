"""The JSON around a payload, what the hub answers, and which payloads there are."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import msgspec

from odavl.wire import limits

Product = Literal["insight", "autopilot", "guardian"]
PRODUCTS: tuple[Product, ...] = ("insight", "autopilot", "guardian")

UPLOAD_TYPES: dict[Product, tuple[str, ...]] = {
    "insight": ("analysis-results", "sarif", "ml-training", "error-signatures"),
    "autopilot": ("ledger", "snapshot", "recipe-trust", "run-history"),
    "guardian": ("test-results", "screenshot", "lighthouse-report", "accessibility-report"),
}
"""The upload types by product, as the hub has them; Insight also takes ``detector-<name>``."""

_AtLeastOne = Annotated[int, msgspec.Meta(ge=1)]
_DETECTOR_TYPE = re.compile(r"detector-(?P<name>[a-z0-9][a-z0-9._-]{0,63})")


def detector_of_type(upload_type: str) -> str | None:
    """The detector's name in ``detector-<name>``, or None for another type."""
    match = _DETECTOR_TYPE.fullmatch(upload_type)
    return match["name"] if match else None


class UploadMetadata(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True):
    """What the hub needs to know besides the payload. Fields it does not know are ignored."""

    project_id: str | None = None
    project_name: str | None = None
    branch: str | None = None
    timestamp: str | None = None
    diagnostics_count: int | None = None
    file_name: str | None = None
    run_id: str | None = None
    """The Autopilot run that the payload belongs to, where the payload itself does not say so."""
    test_run_id: str | None = None
    """The Guardian test that a screenshot or report belongs to."""


class Envelope(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True):
    """``POST /api/v1/upload/{product}``: base64 of the payload, gzipped first if ``compressed``."""

    type: str
    data: str
    compressed: bool = False
    metadata: UploadMetadata = msgspec.field(default_factory=UploadMetadata)
    sha256: str | None = None
    """Hex of the SHA-256 of the payload before gzip."""


class UploadStored(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True):
    """201: the run can be read. ``run_id`` stands where the type makes a run.

    Guardian says ``test_id`` instead.
    """

    upload_id: str
    url: str
    run_id: str | None = None
    test_id: str | None = None


class UploadAccepted(msgspec.Struct, kw_only=True, rename="camel"):
    """202: stored for good, still being taken in; ``status_url`` tells how far."""

    upload_id: str
    job_id: str
    status_url: str


class UploadStatus(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True):
    """``GET /api/v1/upload/{product}/{uploadId}``. ``progress`` is in percent.

    ``receiving``: a transfer in chunks is under way; ``missing`` names what it lacks,
    ``expires_at`` (ISO 8601) when it is dropped unless something arrives.
    """

    upload_id: str
    state: Literal["receiving", "pending", "processing", "completed", "failed"]
    progress: int
    run_id: str | None = None
    test_id: str | None = None
    url: str | None = None
    problem: dict[str, Any] | None = None
    missing: list[str] | None = None
    expires_at: str | None = None


class UploadOptions(msgspec.Struct, kw_only=True, rename="camel"):
    """``GET /api/v1/upload/options``: what the client must obey. Sizes in bytes."""

    chunk_size: Annotated[int, msgspec.Meta(ge=limits.KIBIBYTE)] = limits.CHUNK_SIZE
    max_concurrency: _AtLeastOne = limits.MAX_CONCURRENCY
    max_upload_size: _AtLeastOne = limits.MAX_PAYLOAD_SIZE
    max_envelope_size: _AtLeastOne = limits.MAX_ENVELOPE_SIZE
    encodings: tuple[str, ...] = ("gzip", "identity")
    hash_algorithm: str = "sha256"
