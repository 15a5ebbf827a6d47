"""Uploads: what arrived, what became of it."""

from __future__ import annotations

import uuid

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models

from accounts.models import ApiKey, Organization, Project
from accounts.scoping import OrganizationScoped
from storage.models import StoredObject


class UploadState(models.TextChoices):
    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"


class Upload(OrganizationScoped):
    """One payload on its way in, written in the transaction that promises it to the client."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="uploads")
    api_key = models.ForeignKey(ApiKey, on_delete=models.SET_NULL, null=True, related_name="+")
    product = models.CharField(max_length=16)
    type = models.CharField(max_length=80)
    metadata = models.JSONField(default=dict, encoder=DjangoJSONEncoder)
    stored = models.ForeignKey(StoredObject, on_delete=models.PROTECT, related_name="+")
    state = models.CharField(
        max_length=10, choices=UploadState, default=UploadState.PENDING, db_default="pending"
    )
    job_id = models.UUIDField(null=True)
    run_id = models.UUIDField(null=True)
    """The run it made, in the product's own table, where its type makes one."""
    url = models.CharField(max_length=500, blank=True)
    problem = models.JSONField(null=True)
    idempotency_key = models.CharField(max_length=255, null=True)  # noqa: DJ001 - none is not ""
    request_digest = models.CharField(max_length=64, null=True)  # noqa: DJ001 - as above
    """What the key was sent with; see :func:`uploads.services.same_upload`."""
    answer_status = models.SmallIntegerField(null=True)
    answer = models.BinaryField(null=True)
    """What was answered, where there is a key, and will be as long as the upload lives: JSON."""
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)

    class Meta(OrganizationScoped.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "project", "idempotency_key"],
                condition=models.Q(idempotency_key__isnull=False),
                name="upload_key_unique",
            )
        ]
        indexes = [models.Index(fields=["project", "-created_at"], name="upload_by_time")]

    def __str__(self) -> str:
        return f"{self.product}/{self.type} {self.id}"


class TransferState(models.TextChoices):
    OPEN = "open"
    ASSEMBLING = "assembling"
    DONE = "done"
    FAILED = "failed"
    EXPIRED = "expired"


class Transfer(OrganizationScoped):
    """An upload in chunks. Its id is that of the :class:`Upload` which it becomes."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    api_key = models.ForeignKey(ApiKey, on_delete=models.SET_NULL, null=True, related_name="+")
    product = models.CharField(max_length=16)
    type = models.CharField(max_length=80)
    file_name = models.CharField(max_length=1024, blank=True)
    metadata = models.JSONField(default=dict, encoder=DjangoJSONEncoder)
    size = models.BigIntegerField()
    sha256 = models.CharField(max_length=64)
    idempotency_key = models.CharField(max_length=255, null=True)  # noqa: DJ001 - none is not ""
    digest = models.CharField(max_length=64)
    """What is uploaded, whatever the chunks: the same digest is the same transfer."""
    chunk_count = models.IntegerField(default=0, db_default=0)
    """The rows that it holds; 0 once they have gone."""
    state = models.CharField(
        max_length=10, choices=TransferState, default=TransferState.OPEN, db_default="open"
    )
    answer_status = models.PositiveSmallIntegerField(null=True)
    answer = models.BinaryField(null=True)
    """What finalize answered and will answer ever after: JSON."""
    job_id = models.UUIDField(null=True)
    problem = models.JSONField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()

    class Meta(OrganizationScoped.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "project", "idempotency_key"],
                condition=models.Q(idempotency_key__isnull=False),
                name="transfer_project_key_unique",
            ),
            models.UniqueConstraint(
                fields=["organization", "digest"],
                condition=models.Q(state="open", idempotency_key=None),
                name="transfer_under_way_unique",
            ),
        ]
        indexes = [
            models.Index(
                fields=["expires_at"],
                condition=models.Q(state="open"),
                name="transfer_open_by_expiry",
            ),
            models.Index(
                fields=["expires_at"],
                condition=models.Q(state__in=["done", "failed", "expired"]),
                name="transfer_over_by_expiry",
            ),
            models.Index(
                fields=["organization"],
                condition=models.Q(state__in=["open", "assembling", "failed"]),
                name="transfer_holding",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.product}/{self.type} {self.id}"


class TransferChunk(OrganizationScoped):
    """One place in a transfer. While the row is there, its stored bytes are not cleaned up."""

    ORGANIZATION_LOOKUP = "transfer__organization"

    transfer = models.ForeignKey(Transfer, on_delete=models.CASCADE, related_name="chunks")
    position = models.PositiveIntegerField()
    sha256 = models.CharField(max_length=64)
    size = models.BigIntegerField()
    stored = models.ForeignKey(StoredObject, on_delete=models.RESTRICT, null=True, related_name="+")
    """None while it has not arrived."""

    class Meta(OrganizationScoped.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["transfer", "position"], name="transfer_chunk_position_unique"
            )
        ]
        indexes = [models.Index(fields=["transfer", "sha256"], name="transfer_chunk_by_name")]

    def __str__(self) -> str:
        return f"{self.transfer_id} {self.position}"
