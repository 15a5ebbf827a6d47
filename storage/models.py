"""What the hub keeps as bytes: contents, one record for each of an organization, and files."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from accounts.models import ApiKey, Organization, Project, User
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
    missing_since = models.DateTimeField(null=True, editable=False)
    """When its bytes were first not found in the object store; NULL while they are there."""
    expired_at = models.DateTimeField(null=True, editable=False)
    """When its bytes were let go, as they had been kept long enough; NULL while they are kept."""

    class Meta(OrganizationScoped.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "sha256"], name="stored_object_content_unique"
            )
        ]
        indexes = [
            models.Index(
                fields=["missing_since"],
                name="object_missing",
                condition=models.Q(missing_since__isnull=False),
            ),
            models.Index(
                fields=["created_at"],
                name="object_kept_by_age",
                condition=models.Q(expired_at__isnull=True, joinable=False),
            ),
        ]

    def __str__(self) -> str:
        return self.sha256

    @property
    def lacks_bytes(self) -> bool:
        """Whether there is nothing to read: the same bytes, sent again, are kept again."""
        return self.missing_since is not None or self.expired_at is not None

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


class Access(models.TextChoices):
    """Who may read a file; ``storage.queries`` says what each means."""

    PUBLIC = "PUBLIC", _("Anybody")
    ORGANIZATION = "ORGANIZATION", _("Organization")
    PROJECT = "PROJECT", _("Project")
    PRIVATE = "PRIVATE", _("Only the uploader")


class FileState(models.TextChoices):
    PENDING = "pending"
    """Announced; the bytes are on their way or lie unchecked under :attr:`StoredFile.incoming`."""
    STORED = "stored"
    """Checked, and from now on unchangeable."""
    REFUSED = "refused"
    """What arrived was not what had been announced; ``problem`` says how."""
    DELETED = "deleted"
    """Invisible; its object is about to go, and then the row."""


class StoredFile(OrganizationScoped):
    """A file that somebody uploaded through a signed address, under a name of its own.

    Files of an organization with the same bytes share one object.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, null=True, related_name="+")
    name = models.CharField(max_length=255)
    content_type = models.CharField(max_length=100)
    size = models.BigIntegerField()
    """In bytes, as announced; a file that is stored has exactly so many."""
    sha256 = models.CharField(max_length=64, blank=True)
    """Hex; announced or, once stored, found."""
    access = models.CharField(max_length=12, choices=Access, default=Access.ORGANIZATION)
    product = models.CharField(max_length=16, blank=True)
    type = models.CharField(max_length=80, blank=True)
    state = models.CharField(
        max_length=8, choices=FileState, default=FileState.PENDING, db_default="pending"
    )
    key = models.CharField(max_length=200, blank=True)
    """Where it lies in the object store once it is stored."""
    multipart_id = models.CharField(max_length=1100, blank=True)
    problem = models.JSONField(null=True)
    uploaded_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    api_key = models.ForeignKey(ApiKey, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    upload_until = models.DateTimeField(null=True)
    """The end of the last signed address that was given out for it; NULL once all is tidied up."""
    stored_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)
    downloads = models.PositiveBigIntegerField(default=0, db_default=0)
    last_download_at = models.DateTimeField(null=True)
    missing_since = models.DateTimeField(null=True, editable=False)
    """As that of :class:`StoredObject`."""

    class Meta(OrganizationScoped.Meta):
        indexes = [
            models.Index(fields=["key"], name="file_by_key"),
            models.Index(
                fields=["missing_since"],
                name="file_missing",
                condition=models.Q(missing_since__isnull=False),
            ),
            models.Index(fields=["organization", "-created_at", "-id"], name="file_by_time"),
            models.Index(fields=["organization", "sha256"], name="file_by_content"),
            models.Index(
                fields=["expires_at"],
                name="file_by_expiry",
                condition=models.Q(expires_at__isnull=False),
            ),
            models.Index(
                fields=["upload_until"],
                name="file_unsettled",
                condition=models.Q(upload_until__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def incoming(self) -> str:
        """Where its bytes arrive. Nobody is given an address to read them there."""
        return f"incoming/{self.organization_id}/{self.pk}"

    @property
    def own_key(self) -> str:
        """Where its bytes are moved to be checked; no signed address ever writes there."""
        return f"{self.organization_id}/files/{self.pk}"


class ObjectClaim(models.Model):
    """A note that bytes come to a key, or go from it, at this moment (:mod:`storage.claims`)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    key = models.CharField(max_length=500)
    removes = models.BooleanField()
    until = models.DateTimeField()
    """When it ends by itself: its process has died."""

    objects: ClassVar[models.Manager[ObjectClaim]] = models.Manager()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["key"], name="claim_by_key")]

    def __str__(self) -> str:
        return self.key


class ReleasedContent(models.Model):
    """A note that a reference to a content has gone, which may have been the last one.

    Committed with what removed the reference; :func:`storage.services.discard_released` looks. A
    content may have several: one that is read never stands for a reference that goes afterwards.
    """

    id = models.BigAutoField(primary_key=True)
    stored_id = models.UUIDField()
    released_at = models.DateTimeField(db_default=Now())

    objects: ClassVar[models.Manager[ReleasedContent]] = models.Manager()

    def __str__(self) -> str:
        return str(self.stored_id)


class Walk(models.Model):
    """How far a walk through the store, or through the rows, has come; it takes many rounds."""

    name = models.CharField(max_length=32, primary_key=True)
    cursor = models.TextField(blank=True)
    """Where the next round goes on; empty before the first and after the last."""
    begun_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    """The end of the last whole walk."""

    objects: ClassVar[models.Manager[Walk]] = models.Manager()

    def __str__(self) -> str:
        return self.name


class StoreMark(models.Model):
    """The mark that the hub has left in its object store (:mod:`storage.presence`); one row."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    name = models.CharField(max_length=32)

    objects: ClassVar[models.Manager[StoreMark]] = models.Manager()

    def __str__(self) -> str:
        return self.name
