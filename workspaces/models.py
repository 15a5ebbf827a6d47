"""Workspaces: a project's ``.odavl/`` as its machines have it in common, revision by revision."""

from __future__ import annotations

import uuid

from django.db import models

from accounts.models import ApiKey, Organization, Project, User
from accounts.scoping import OrganizationScoped
from odavl.wire import limits
from storage.models import StoredObject


class Workspace(OrganizationScoped):
    """``head`` is the number of its newest revision; whoever raises it holds this row."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    project = models.OneToOneField(Project, on_delete=models.CASCADE, related_name="workspace")
    head = models.PositiveIntegerField(default=0, db_default=0)

    def __str__(self) -> str:
        return f"{self.project_id} at {self.head}"


class Revision(OrganizationScoped):
    """All files that there were at one time; the list of them is a stored object, too."""

    ORGANIZATION_LOOKUP = "workspace__organization"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="revisions")
    number = models.PositiveIntegerField()
    manifest = models.ForeignKey(StoredObject, on_delete=models.RESTRICT, related_name="+")
    """JSON, a list of :class:`odavl.wire.workspace.WorkspaceFile`."""
    machine = models.CharField(max_length=limits.MAX_NAME_LENGTH)
    api_key = models.ForeignKey(ApiKey, on_delete=models.SET_NULL, null=True, related_name="+")
    author = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    file_count = models.PositiveIntegerField()
    size = models.BigIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(OrganizationScoped.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "number"], name="workspace_revision_number_unique"
            )
        ]

    def __str__(self) -> str:
        return f"{self.workspace_id} {self.number}"


class WorkspaceContent(OrganizationScoped):
    """A chunk that a workspace has, and why. While the row is there, the bytes are.

    One row for each chunk, however many revisions have it: a push writes what differs from the
    revision before. A row goes once it is not in the head, every revision that had it is gone and
    no push holds it any more.
    """

    ORGANIZATION_LOOKUP = "workspace__organization"

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="contents")
    stored = models.ForeignKey(StoredObject, on_delete=models.RESTRICT, related_name="+")
    in_head = models.BooleanField(default=False, db_default=False)
    dropped_in = models.PositiveIntegerField(null=True)
    """The first revision without it; None while it is in the head, or never was."""
    held_until = models.DateTimeField(null=True)
    """For a push under way."""

    class Meta(OrganizationScoped.Meta):
        constraints = [
            models.UniqueConstraint(fields=["workspace", "stored"], name="workspace_content_unique")
        ]
        indexes = [
            models.Index(
                fields=["workspace", "held_until"],
                condition=models.Q(in_head=False),
                name="workspace_content_outside",
            )
        ]

    def __str__(self) -> str:
        return f"{self.workspace_id} {self.stored_id}"
