"""What the hub keeps as bytes: one record for each distinct content of an organization."""

from __future__ import annotations

import uuid

from django.db import models

from accounts.models import Organization
from accounts.scoping import OrganizationScoped


class StoredObject(OrganizationScoped):
    """Bytes named by the SHA-256 of their uncompressed form, kept once for an organization.

    Small ones lie in the row, so that they are committed, or not, with what refers to them; the
    others lie in the object store under :attr:`key`.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    sha256 = models.CharField(max_length=64, editable=False)
    size = models.BigIntegerField()
    """Uncompressed, in bytes."""
    stored_size = models.BigIntegerField()
    """As it lies there: gzip-compressed, in bytes."""
    inline = models.BinaryField(null=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(OrganizationScoped.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "sha256"], name="stored_object_content_unique"
            )
        ]

    def __str__(self) -> str:
        return self.sha256

    @property
    def key(self) -> str:
        """Where it lies in the object store."""
        return f"{self.organization_id}/{self.sha256[:2]}/{self.sha256}.gz"
