"""The ``Idempotency-Key`` of an upload, remembered as long as the upload lives.

It is a column of the upload, whichever way that came. A transfer that a job takes in has been
answered before there is an upload, so transfers are asked too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple
from uuid import UUID

import msgspec
from django.db import connection

from accounts.idempotency import Answer, Recorded, run_within
from accounts.models import Project
from accounts.principal import Principal
from odavl.wire.encoding import sha256_hex
from odavl.wire.envelope import UploadMetadata
from uploads.models import Transfer, Upload


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
