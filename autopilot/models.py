"""Runs of Autopilot, what it learned about recipes, and the documents beside a run."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Organization, Project
from accounts.scoping import OrganizationScoped
from odavl.wire import limits
from uploads.results.models import Named, Received


class Phase(models.TextChoices):
    """How a run ended, or where it stopped."""

    OBSERVE = "observe", _("Observe")
    DECIDE = "decide", _("Decide")
    ACT = "act", _("Act")
    VERIFY = "verify", _("Verify")
    LEARN = "learn", _("Learn")
    COMPLETED = "completed", _("Completed")
    ROLLED_BACK = "rolled-back", _("Rolled back")
    FAILED = "failed", _("Failed")


class Cycle(Named):
    """One run, as its ledger tells it. The ledger itself, with every edit, is an object."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="cycles")
    run_id = models.CharField(max_length=limits.MAX_RUN_ID_LENGTH)
    """The client's name for it."""
    phase = models.CharField(max_length=11, choices=Phase)
    phases = models.JSONField(default=dict)
    """``{name: {status, durationMs, metrics}}``, texts shortened and metrics made plain."""
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    selected_recipe = models.CharField(max_length=limits.MAX_RULE_LENGTH, blank=True)
    files_modified = models.IntegerField(default=0)
    edits_kept = models.IntegerField(default=0)
    edits_reverted = models.IntegerField(default=0)
    findings_closed = models.IntegerField(default=0)
    """By the edits that were kept."""
    trust_score = models.FloatField(null=True)
    """From 0 to 1."""
    quality_improved = models.BooleanField(null=True)

    class Meta(Named.Meta):
        constraints = [
            models.UniqueConstraint(fields=["organization", "run_id"], name="cycle_run_id_unique")
        ]
        indexes = [
            models.Index(fields=["organization", "-started_at", "-id"], name="cycle_by_time"),
            models.Index(fields=["project", "-started_at", "-id"], name="cycle_of_project"),
        ]

    def __str__(self) -> str:
        return self.run_id


class DocumentType(models.TextChoices):
    SNAPSHOT = "snapshot", _("Undo snapshot")
    RECIPE_TRUST = "recipe-trust", _("Trust in recipes")
    RUN_HISTORY = "run-history", _("Run history")


class SideDocument(Received):
    """What is uploaded beside a ledger, kept as it was sent."""

    type = models.CharField(max_length=12, choices=DocumentType)
    run_id = models.CharField(max_length=limits.MAX_RUN_ID_LENGTH, blank=True)
    as_of = models.DateTimeField()
    """When its machine wrote it: one that waited in a queue does not pass for the latest."""

    class Meta(Received.Meta):
        indexes = [
            models.Index(fields=["project", "type", "-as_of"], name="side_document_latest"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.as_of}"


class RecipeTrust(OrganizationScoped):
    """How far a recipe has earned its use in one project, as last reported."""

    id = models.BigAutoField(primary_key=True)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    recipe = models.CharField(max_length=limits.MAX_RULE_LENGTH)
    trust = models.FloatField()
    """From 0 to 1."""
    runs = models.IntegerField(default=0)
    successes = models.IntegerField(default=0)
    failures = models.IntegerField(default=0)
    blocked = models.BooleanField(default=False)
    updated_at = models.DateTimeField()

    class Meta(OrganizationScoped.Meta):
        constraints = [
            models.UniqueConstraint(fields=["project", "recipe"], name="recipe_trust_unique")
        ]

    def __str__(self) -> str:
        return self.recipe
