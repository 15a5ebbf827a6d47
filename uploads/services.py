"""Receiving uploads: who, may they, is it whole, was it there before; then over to the product."""

from __future__ import annotations

from contextlib import AbstractContextManager
from http import HTTPStatus
from typing import Any
from uuid import UUID

import msgspec
from django.db import transaction

from accounts import admission
from accounts.admission import Stage
from accounts.idempotency import Answer
from accounts.models import Organization, Project
from accounts.principal import Principal
from accounts.services import find_or_create_project
from frame.request_context import current_request
from odavl.wire.envelope import UploadAccepted, UploadMetadata, UploadStored
from storage import services as storage
from uploads.contents import Content
from uploads.idempotency import RequestKey, answer_once, same_upload
from uploads.models import Transfer, Upload, UploadState
from uploads.registry import payload_type


def receive(
    *,
    principal: Principal,
    product: str,
    upload_type: str,
    metadata: UploadMetadata,
    content: Content,
    placed: storage.Placed,
    idempotency_key: str | None,
) -> Answer:
    """Note one payload, which is ``placed``, and hand it to its product; or answer as before.

    With an ``idempotency_key`` it is taken once for its project, as long as the upload lives.
    Raises as :func:`payload_type`, :func:`find_or_create_project` and
    :func:`~accounts.idempotency.run_within` do, and whatever admission checks or the product find
    wrong with the payload; then nothing is left of it.
    """
    payload_type(product, upload_type)
    request = RequestKey(
        idempotency_key, same_upload(product, upload_type, content.sha256, metadata)
    )
    with transaction.atomic():
        project = project_for(principal, metadata)

        def take_in() -> tuple[int, bytes]:
            upload = Upload(
                organization=principal.organization,
                project=project,
                api_key=principal.key,
                product=product,
                type=upload_type,
                metadata=kept_metadata(metadata),
                stored=storage.keep_placed(placed),
            )
            admit(principal, upload, stage=Stage.UPLOAD, size=content.size)
            return hand_over(upload, content, request=request)

        return answer_once(principal, project, request, take_in)


def admit(
    principal: Principal, wanted: Upload | Transfer, *, stage: Stage, size: int, chunks: int = 0
) -> None:
    """Ask those who count (:mod:`accounts.admission`). Raises what they do."""
    admission.admit(
        admission.Admission(
            stage=stage,
            principal=principal,
            project=wanted.project,
            product=wanted.product,
            type=wanted.type,
            subject=wanted.pk,
            size=size,
            chunks=chunks,
        )
    )


def place(organization: Organization, content: Content) -> AbstractContextManager[storage.Placed]:
    """Have the bytes of ``content`` in the store, before the transaction that refers to them."""
    return storage.placed_content(
        organization=organization,
        pieces=content.pieces(),
        sha256=content.sha256,
        size=content.size,
        stored_size=content.stored_size,
    )


def hand_over(
    upload: Upload,
    content: Content,
    *,
    request: RequestKey,
    answered: tuple[int, bytes] | None = None,
) -> tuple[int, bytes]:
    """Give a new ``upload`` to its product; what is to be answered, as a status and JSON.

    Its row comes last and so is written once: what the product writes may refer to it before it is
    there, foreign keys are looked at when the caller commits. ``answered`` is what ``request`` has
    been told already, where that was before there was an upload.
    """
    answer = payload_type(upload.product, upload.type).receive(upload, content)
    _note(upload, answer)
    told = answered or (status_for(answer), msgspec.json.encode(answer))
    if request.key is not None:
        upload.idempotency_key, upload.request_digest = request
        upload.answer_status, upload.answer = told
    upload.save(force_insert=True)
    return told


def status_for(answer: UploadStored | UploadAccepted) -> int:
    return HTTPStatus.CREATED if isinstance(answer, UploadStored) else HTTPStatus.ACCEPTED


def kept_metadata(metadata: UploadMetadata) -> dict[str, Any]:
    """``metadata`` as it is kept with an upload that is being received.

    ``clockAhead`` (seconds) is added where the client's clock differs: its times mean another one.
    """
    kept: dict[str, Any] = msgspec.to_builtins(metadata)
    if ahead := current_request().clock_ahead:
        kept["clockAhead"] = ahead
    return kept


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
