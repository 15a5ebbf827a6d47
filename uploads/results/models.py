"""What every row that one upload made has in common; each room's own tables build upon these."""

from __future__ import annotations

import uuid

from django.db import models

from accounts.models import Organization, Project
from accounts.scoping import OrganizationScoped
from uploads.models import Upload


class Received(OrganizationScoped):
    """A row that one upload made. What was uploaded is an object, and stays as it was sent."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    upload = models.OneToOneField(Upload, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(OrganizationScoped.Meta):
        abstract = True


class Named(Received):
    """A row with a name of the client's: a fact, which is not edited."""

    sha256 = models.CharField(max_length=64)
    """Of the payload: the same once more is the same row, another of its name is refused."""

    class Meta(Received.Meta):
        abstract = True
