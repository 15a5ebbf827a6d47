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
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)

    class Meta(OrganizationScoped.Meta):
        indexes = [models.Index(fields=["project", "-created_at"], name="upload_by_time")]

    def __str__(self) -> str:
        return f"{self.product}/{self.type} {self.id}"
