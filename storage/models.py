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
    joinable = models.BooleanField(default=False, db_default=False, editable=False)
    """Whether its gzip form is one that :mod:`storage.joining` can put between others."""
    crc32 = models.BigIntegerField(null=True, editable=False)
    """Of the uncompressed bytes, where they lie in other objects (:class:`ObjectPart`)."""
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


class ObjectPart(OrganizationScoped):
    """A piece of an object that has no bytes of its own: those of another object."""

    ORGANIZATION_LOOKUP = "whole__organization"

    whole = models.ForeignKey(StoredObject, on_delete=models.CASCADE, related_name="parts")
    position = models.PositiveIntegerField()
    part = models.ForeignKey(StoredObject, on_delete=models.RESTRICT, related_name="part_of")

    class Meta(OrganizationScoped.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["whole", "position"], name="object_part_position_unique"
            )
        ]

    def __str__(self) -> str:
        return f"{self.whole_id} {self.position}"
