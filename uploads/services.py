"""Receiving uploads: who, may they, is it whole, was it there before; then over to the product.

The ``Idempotency-Key`` of an upload is remembered as long as the upload lives. It is a column of
the upload, whichever way that came. A transfer that a job takes in has been answered before there
is an upload, so transfers are asked too.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from http import HTTPStatus
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from django.db import connection, transaction

from accounts import admission
from accounts.admission import Stage
from accounts.idempotency import Answer, Recorded, run_within
from accounts.models import Organization, Project
from accounts.principal import Principal
from accounts.services import find_or_create_project
from frame.request_context import current_request
from odavl.wire.encoding import sha256_hex
from odavl.wire.envelope import UploadAccepted, UploadMetadata, UploadStored
from storage import services as storage
from uploads.contents import Content
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

        def ingest() -> tuple[int, bytes]:
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
            return dispatch(upload, content, request=request)

        return answer_once(principal, project, request, ingest)


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


def dispatch(
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
    _set_outcome(upload, answer)
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


def _set_outcome(upload: Upload, answer: UploadStored | UploadAccepted) -> None:
    if isinstance(answer, UploadAccepted):
        upload.job_id = UUID(answer.job_id)
        return
    upload.state, upload.url = UploadState.COMPLETED, answer.url
    made = answer.run_id or answer.test_id
    upload.run_id = UUID(made) if made else None


class RequestKey(NamedTuple):
    """A client's key for its request, None without one, and what :func:`same_upload` says of it."""

    key: str | None
    digest: str


def same_upload(product: str, upload_type: str, sha256: str, metadata: UploadMetadata) -> str:
    """What makes two uploads of a project the same request, however they come: SHA-256 in hex."""
    parts = (product, upload_type, sha256)
    return sha256_hex("\n".join(parts).encode() + msgspec.json.encode(metadata))


def same_as_transfer(transfer: Transfer) -> str:
    """:func:`same_upload` of what a transfer brings."""
    metadata = msgspec.convert(transfer.metadata, UploadMetadata)
    return same_upload(transfer.product, transfer.type, transfer.sha256, metadata)


def answer_once(
    principal: Principal,
    project: Project,
    request: RequestKey,
    make_answer: Callable[[], tuple[int, bytes]],
) -> Answer:
    """As :func:`~accounts.idempotency.run_within`, for as long as what was made lives."""
    key, digest = request
    memory = _Uploads(project, key) if key is not None else None
    return run_within(principal, key, digest, make_answer, project=project, memory=memory)


class _Uploads:
    """The :class:`~accounts.idempotency.Memory` of a project's uploads with one key."""

    def __init__(self, project: Project, key: str) -> None:
        self._project = project
        self._key = key

    def recall(self) -> Recorded | None:
        transfers = Transfer.objects.belonging_to(project=self._project)
        with connection.cursor() as cursor:
            cursor.execute(
                _ANSWERED,
                {
                    "organization": self._project.organization_id,
                    "project": self._project.pk,
                    "key": self._key,
                },
            )
            row = cursor.fetchone()
        if row is None:
            return None
        transfer_id, digest, status, body = row
        if transfer_id is not None:
            digest = same_as_transfer(transfers.get(pk=transfer_id))
        return Recorded(digest, status, bytes(body))

    def is_of_project(self, body: bytes) -> bool:
        try:
            upload_id = UUID(_MADE.decode(body).upload_id)
        except (msgspec.DecodeError, ValueError):
            return False  # the answer to another kind of request
        return any(
            model.objects.belonging_to(project=self._project).filter(pk=upload_id).exists()
            for model in (Upload, Transfer)
        )


class _Made(msgspec.Struct, rename="camel"):
    upload_id: str


_MADE = msgspec.json.Decoder(_Made)

# One question for both: almost every upload asks it, and almost never is there an answer.
_ANSWERED = """
SELECT NULL, request_digest, answer_status, answer FROM uploads_upload
WHERE organization_id = %(organization)s AND project_id = %(project)s
  AND idempotency_key = %(key)s
UNION ALL
SELECT id, NULL, answer_status, answer FROM uploads_transfer
WHERE organization_id = %(organization)s AND project_id = %(project)s
  AND idempotency_key = %(key)s AND answer IS NOT NULL
LIMIT 1
"""
