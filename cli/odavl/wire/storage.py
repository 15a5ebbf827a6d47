"""Files: what is asked for and answered under ``/api/v1/storage``. Sizes are bytes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from odavl.wire import limits

Access = Literal["PUBLIC", "PRIVATE", "ORGANIZATION", "PROJECT"]
State = Literal["pending", "stored", "refused"]
UrlSeconds = Annotated[
    int, msgspec.Meta(ge=limits.MIN_SIGNED_URL_SECONDS, le=limits.MAX_SIGNED_URL_SECONDS)
]
_FileId = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
_Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
PartNumber = Annotated[int, msgspec.Meta(ge=1, le=limits.MAX_PARTS)]


class NewFile(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A file to be uploaded. What arrives must have exactly this size, type and digest.

    ``expiresAt`` is when the file itself goes; ``expiresIn`` how many seconds the signed address
    is good for.
    """

    file_name: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
    content_type: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    size: Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)]
    sha256: _Sha256 | None = None
    access: Access = "ORGANIZATION"
    project_id: Annotated[str, msgspec.Meta(max_length=limits.MAX_NAME_LENGTH)] | None = None
    product: Literal["insight", "autopilot", "guardian"] | None = None
    type: Annotated[str, msgspec.Meta(max_length=80, pattern="^[a-z0-9-]*$")] = ""
    expires_at: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    expires_in: UrlSeconds = limits.SIGNED_URL_SECONDS


class UploadUrl(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Where the bytes go: ``method`` to ``uploadUrl`` with all of ``headers`` before ``expiresAt``.

    Without ``uploadUrl`` nothing is to be sent any more: the file is ``stored``, or ``refused``
    with a ``problem``.
    """

    file_id: str
    state: State
    file_url: str
    upload_url: str | None = None
    method: str | None = None
    headers: dict[str, str] = {}
    expires_at: str | None = None
    problem: dict[str, Any] | None = None


class MultipartUpload(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """An upload in ``parts`` parts of ``partSize`` bytes each, the last one of what is left."""

    file_id: str
    upload_id: str
    part_size: int
    parts: int
    file_url: str
    expires_at: str


class NewPart(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Which part an address is wanted for; parts are numbered from 1."""

    file_id: _FileId
    part_number: PartNumber
    expires_in: UrlSeconds = limits.SIGNED_URL_SECONDS


class PartUrl(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Where one part goes, which must have exactly ``size`` bytes."""

    file_id: str
    part_number: int
    size: int
    upload_url: str
    method: str
    headers: dict[str, str]
    expires_at: str


class FileReference(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    file_id: _FileId


class FileSummary(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """``sha256`` may be missing while the file is pending.

    ``url`` is where it is described, or, for a public file, where anybody gets it.
    """

    id: str
    name: str
    content_type: str
    size: int
    sha256: str | None
    access: Access
    project_id: str | None
    product: str | None
    type: str
    state: State
    downloads: int
    uploaded_by: str | None
    created_at: str
    stored_at: str | None
    expires_at: str | None
    url: str
    problem: dict[str, Any] | None = None


class FilePage(msgspec.Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    items: list[FileSummary]
    total: int | None = None
    next: str | None = None


class DownloadUrl(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A GET to ``downloadUrl`` gives the bytes until ``expiresAt``."""

    file_id: str
    download_url: str
    file_name: str
    content_type: str
    size: int
    sha256: str
    expires_at: str


class Tally(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """``name`` is empty for files that were given no product."""

    name: str
    files: int
    bytes: int
    downloads: int


class PayloadTally(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Documents of uploads, kept once for each content: as they were sent, and as they lie."""

    objects: int
    bytes: int
    stored_bytes: int


class StorageStats(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """``storedBytes`` counts files with the same bytes once."""

    files: int
    bytes: int
    stored_bytes: int
    downloads: int
    by_content_type: list[Tally]
    by_product: list[Tally]
    payloads: PayloadTally | None = None
    """None for a key that is held to a project: contents are kept once for all projects."""
