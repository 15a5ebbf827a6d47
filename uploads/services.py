"""Receiving uploads: who, may they, is it whole; then over to the product."""

from __future__ import annotations

from contextlib import AbstractContextManager
from uuid import UUID

import msgspec

from accounts.models import Organization, Project
from accounts.principal import Principal
from accounts.services import find_or_create_project
from odavl.wire.encoding import sha256_hex
from odavl.wire.envelope import (
    UPLOAD_TYPES,
    UploadAccepted,
    UploadMetadata,
    UploadStored,
    is_upload_type,
)
from odavl.wire.errors import FieldError, UnknownType
from storage import services as storage
from uploads.contents import Content
from uploads.models import Upload, UploadState
from uploads.registry import handler_of


def receive(
    *,
    principal: Principal,
    product: str,
    upload_type: str,
    metadata: UploadMetadata,
    content: Content,
    placed: storage.Placed,
) -> UploadStored | UploadAccepted:
    """Note one payload, which is ``placed``, and hand it to its product: in one transaction.

    Raises :class:`UnknownType`, the errors of :func:`find_or_create_project`, and whatever the
    product finds wrong with the payload; then nothing is left of it.
    """
    check_type(product, upload_type)
    upload = Upload(
        organization=principal.organization,
        project=project_for(principal, metadata),
        api_key=principal.key,
        product=product,
        type=upload_type,
        metadata=msgspec.to_builtins(metadata),
        stored=storage.keep_placed(placed),
    )
    return hand_over(upload, content)


def place(organization: Organization, content: Content) -> AbstractContextManager[storage.Placed]:
    """Have the bytes of ``content`` in the store, before the transaction that refers to them."""
    return storage.placed_content(
        organization=organization,
        pieces=content.pieces(),
        sha256=content.sha256,
        size=content.size,
        stored_size=content.stored_size,
    )


def hand_over(upload: Upload, content: Content) -> UploadStored | UploadAccepted:
    """Give a new ``upload`` to its product and note what became of it, in one transaction.

    Its row comes last and so is written once: what the product writes may refer to it before it is
    there, foreign keys are looked at when the caller commits.
    """
    answer = handler_of(upload.product).receive(upload, content)
    _note(upload, answer)
    upload.save(force_insert=True)
    return answer


def same_upload(product: str, upload_type: str, sha256: str, metadata: UploadMetadata) -> str:
    """What makes two uploads the same request, whichever way they come: a SHA-256 in hex."""
    parts = (product, upload_type, sha256)
    return sha256_hex("\n".join(parts).encode() + msgspec.json.encode(metadata))


def check_type(product: str, upload_type: str) -> None:
    """Raises :class:`UnknownType` that names the ones there are."""
    if is_upload_type(product, upload_type):
        return
    known = next((types for name, types in UPLOAD_TYPES.items() if name == product), ())
    extra = ("detector-<name>",) if product == "insight" else ()
    raise UnknownType(
        f"{product} has no upload type {upload_type[:80]!r}; there are "
        f"{', '.join((*known, *extra))}.",
        errors=(FieldError("/type", "unknown_type", "Not an upload type of this product."),),
    )


def project_for(principal: Principal, metadata: UploadMetadata) -> Project:
    """The project that the metadata names; made where the key may. Raises as its finder does."""
    return find_or_create_project(
        principal, project_id=metadata.project_id, project_name=metadata.project_name
    )


def _note(upload: Upload, answer: UploadStored | UploadAccepted) -> None:
    if isinstance(answer, UploadAccepted):
        upload.job_id = UUID(answer.job_id)
        return
    upload.state, upload.url = UploadState.COMPLETED, answer.url
    made = answer.run_id or answer.test_id
    upload.run_id = UUID(made) if made else None
