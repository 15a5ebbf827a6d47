"""Rows of this room as the documents of :mod:`odavl.wire.storage`."""

from __future__ import annotations

from typing import Any, cast

import msgspec
from django.conf import settings
from django.urls import reverse

from accounts.rendering import iso
from odavl.wire import limits
from odavl.wire import storage as wire
from odavl.wire.problem import problem_of
from storage import queries
from storage.files import PartAddress, lost_file, part_count
from storage.models import Access, StoredFile
from storage.objects.interface import SignedRequest


def file_url(file: StoredFile) -> str:
    """The address that stays: where anybody gets a public file, where others are described."""
    name = "public-file" if file.access == Access.PUBLIC else "storage-file"
    return f"{settings.PUBLIC_URL}{reverse(name, args=[file.pk])}"


def upload_url(file: StoredFile, request: SignedRequest | None) -> wire.UploadUrl:
    return wire.UploadUrl(
        file_id=str(file.pk),
        state=cast("wire.State", file.state),
        file_url=file_url(file),
        upload_url=request.url if request else None,
        method=request.method if request else None,
        headers=dict(request.headers) if request else {},
        expires_at=iso(request.expires_at) if request else None,
        problem=file.problem,
    )


def multipart(file: StoredFile) -> wire.MultipartUpload:
    return wire.MultipartUpload(
        file_id=str(file.pk),
        # The store's own name for it stays between the hub and the store.
        upload_id=str(file.pk),
        part_size=limits.PART_SIZE,
        parts=part_count(file),
        file_url=file_url(file),
        expires_at=str(iso(file.upload_until)),
    )


def part_url(file: StoredFile, number: int, address: PartAddress) -> wire.PartUrl:
    return wire.PartUrl(
        file_id=str(file.pk),
        part_number=number,
        size=address.size,
        upload_url=address.request.url,
        method=address.request.method,
        headers=dict(address.request.headers),
        expires_at=str(iso(address.request.expires_at)),
    )


def file_summary(file: StoredFile) -> wire.FileSummary:
    """``file`` with its uploader loaded."""
    return wire.FileSummary(
        id=str(file.pk),
        name=file.name,
        content_type=file.content_type,
        size=file.size,
        sha256=file.sha256 or None,
        access=cast("wire.Access", file.access),
        project_id=str(file.project_id) if file.project_id else None,
        product=file.product or None,
        type=file.type,
        state=cast("wire.State", file.state),
        downloads=file.downloads,
        uploaded_by=file.uploaded_by.email if file.uploaded_by else None,
        created_at=str(iso(file.created_at)),
        stored_at=iso(file.stored_at),
        expires_at=iso(file.expires_at),
        url=file_url(file),
        problem=file.problem or _lost(file),
    )


def _lost(file: StoredFile) -> dict[str, Any] | None:
    if file.missing_since is None:
        return None
    told: dict[str, Any] = msgspec.to_builtins(problem_of(lost_file()))
    return told


def download_url(file: StoredFile, request: SignedRequest) -> wire.DownloadUrl:
    return wire.DownloadUrl(
        file_id=str(file.pk),
        download_url=request.url,
        file_name=file.name,
        content_type=file.content_type,
        size=file.size,
        sha256=file.sha256,
        expires_at=str(iso(request.expires_at)),
    )


def tally(found: queries.Tally) -> wire.Tally:
    return wire.Tally(
        name=found.name, files=found.files, bytes=found.bytes, downloads=found.downloads
    )


def payloads(found: queries.Payloads | None) -> wire.PayloadTally | None:
    if found is None:
        return None
    return wire.PayloadTally(
        objects=found.objects, bytes=found.bytes, stored_bytes=found.stored_bytes
    )
