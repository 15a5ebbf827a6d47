"""Streams, runs and issues.

An issue is one row for each stream and identity. It lives in the half-open interval of run
sequences ``[introduced, resolved)``; a run's issues are those whose interval covers its sequence.
Uploading what is unchanged therefore writes no issue rows. When a resolved issue comes back, its
past interval moves to :class:`PastInterval` and a new one begins.
"""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models import Organization, Project, User
from accounts.scoping import OrganizationScoped
from odavl.wire import limits
from uploads.models import Upload

ISSUE_IDENTITY = "issue_identity_unique"


class Stream(OrganizationScoped):
    """The sequence of runs of one project on one branch."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="streams")
    branch = models.CharField(max_length=limits.MAX_BRANCH_LENGTH)
    last_sequence = models.IntegerField(default=0)
    """Of the last run received; also the row that concurrent uploads of the stream queue up at,
    each for as long as a commit takes (:mod:`insight.stream_locks`)."""
    last_run_at = models.DateTimeField(null=True)
    """When the last run was received; null where only an older version of the hub has received."""

    class Meta(OrganizationScoped.Meta):
        constraints = [
            models.UniqueConstraint(fields=["project", "branch"], name="stream_branch_unique")
        ]

    def __str__(self) -> str:
        return self.branch


class Forgotten(OrganizationScoped):
    """What is left of the oldest runs of a stream: see :mod:`insight.retention`."""

    ORGANIZATION_LOOKUP = "stream__organization"

    stream = models.OneToOneField(
        Stream, on_delete=models.CASCADE, primary_key=True, related_name="+"
    )
    through = models.IntegerField()
    """The last sequence that has gone; all before it have."""
    looks = models.JSONField(default=dict)
    """When they last looked where no kept run has looked since, for runs that come late:
    ``{detector: {path: ISO 8601}}``, with ``""`` for the whole project."""

    def __str__(self) -> str:
        return f"up to #{self.through}"


class RunState(models.TextChoices):
    QUEUED = "queued", _("Queued")
    COMPLETED = "completed", _("Completed")
    FAILED = "failed", _("Failed")


class Run(OrganizationScoped):
    """One analysis of one stream. Counts leave suppressed findings out."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    stream = models.ForeignKey(Stream, on_delete=models.CASCADE, related_name="runs")
    upload = models.OneToOneField(Upload, on_delete=models.CASCADE, related_name="+")
    sequence = models.IntegerField()
    """1, 2, 3… in the order in which the hub received the runs of the stream."""
    analysed_at = models.DateTimeField(null=True)
    """When the analysis was made, by the hub's clock; never after the run's arrival."""
    is_late = models.BooleanField(default=False, db_default=False)
    """Whether a later analysis was ingested before: see :mod:`insight.order`."""
    superseded_count = models.IntegerField(default=0, db_default=0)
    """Findings of a late run that were left out, as later analyses have looked there."""
    state = models.CharField(max_length=10, choices=RunState, default=RunState.QUEUED)
    problem = models.JSONField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)

    git_remote = models.CharField(max_length=500, blank=True)
    git_commit = models.CharField(max_length=64, blank=True)
    tool_name = models.CharField(max_length=100, blank=True)
    tool_version = models.CharField(max_length=50, blank=True)
    detectors = models.JSONField(default=list)
    """``[{name, version, status, findings, durationMs, detail}]``"""
    files = models.JSONField(null=True)
    """The paths the run speaks for; null for the whole project."""
    metrics = models.JSONField(default=dict)
    """``{filesAnalyzed, durationMs, codeLines}``"""

    total = models.IntegerField(default=0)
    new_count = models.IntegerField(default=0)
    fixed_count = models.IntegerField(default=0)
    unchanged_count = models.IntegerField(default=0)
    reopened_count = models.IntegerField(default=0)
    suppressed_count = models.IntegerField(default=0)
    trimmed_count = models.IntegerField(default=0)
    """Findings whose texts were longer than the hub keeps."""
    by_severity = models.JSONField(default=dict)
    """``{critical, high, medium, low, info}`` of this run's findings."""
    open_total = models.IntegerField(default=0)
    """Issues of the whole stream that are unresolved after this run, whatever its scope."""
    open_by_severity = models.JSONField(default=dict)

    class Meta(OrganizationScoped.Meta):
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(fields=["stream", "sequence"], name="run_sequence_unique")
        ]
        indexes = [
            models.Index(fields=["organization", "-created_at"], name="run_by_time"),
            # Of a hundred thousand runs few or none: whoever comes first looks for them.
            models.Index(
                fields=["stream", "sequence"], name="run_queued", condition=Q(state="queued")
            ),
            models.Index(
                fields=["stream", "-analysed_at"],
                name="run_by_analysis",
                condition=Q(state="completed"),
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.sequence}"


class Severity(models.IntegerChoices):
    """Stored so that a plain descending sort puts the worst first."""

    CRITICAL = 5, _("Critical")
    HIGH = 4, _("High")
    MEDIUM = 3, _("Medium")
    LOW = 2, _("Low")
    INFO = 1, _("Info")


class Triage(models.TextChoices):
    """What people decided about an issue."""

    OPEN = "open", _("Open")
    ACCEPTED = "accepted", _("Accepted")
    FALSE_POSITIVE = "false-positive", _("False positive")


class Issue(OrganizationScoped):
    """A finding tracked across the runs of a stream. Its texts are those last reported."""

    ORGANIZATION_LOOKUP = "stream__organization"

    id = models.BigAutoField(primary_key=True)
    # No constraint in the database: it would look up the stream once for each of a million rows,
    # and rows come only from the tracker, which keeps the stream from going while it inserts.
    stream = models.ForeignKey(
        Stream,
        on_delete=models.CASCADE,
        related_name="issues",
        db_index=False,
        db_constraint=False,
    )
    identity = models.UUIDField(editable=False)
    """128 bits of fingerprint and path together: what is looked for first."""
    fingerprint = models.UUIDField(editable=False)
    """What the finding is, wherever its file lies: what is looked for second."""
    content = models.IntegerField(editable=False)
    """CRC-32 (signed) of the finding as it was sent: another one means that something changed."""
    severity = models.SmallIntegerField(choices=Severity)
    line = models.IntegerField()
    column = models.IntegerField()
    end_line = models.IntegerField(null=True)
    end_column = models.IntegerField(null=True)
    introduced = models.IntegerField()
    """Sequence of the first run of the current life."""
    resolved = models.IntegerField(null=True)
    """Sequence of the first run without it; null while it is there."""
    reopenings = models.SmallIntegerField(default=0, db_default=0)
    suppressed = models.BooleanField()
    detector = models.CharField(max_length=limits.MAX_DETECTOR_LENGTH)
    rule = models.CharField(max_length=limits.MAX_RULE_LENGTH)
    path = models.CharField(max_length=limits.MAX_PATH_LENGTH)
    message = models.TextField()
    snippet = models.TextField()
    fix = models.TextField()
    url = models.TextField()
    triage = models.CharField(
        max_length=16, choices=Triage, default=Triage.OPEN, db_default=Triage.OPEN.value
    )

    class Meta(OrganizationScoped.Meta):
        constraints = [models.UniqueConstraint(fields=["stream", "identity"], name=ISSUE_IDENTITY)]
        indexes = [
            models.Index(
                fields=["stream", "-severity", "id"],
                name="issue_unresolved",
                condition=Q(resolved__isnull=True),
            ),
            # What lived at a run, and what has ever been there, in the order of lists.
            models.Index(fields=["stream", "-severity", "id"], name="issue_by_severity"),
            # A run that speaks for some files reads only theirs.
            models.Index(
                fields=["stream", "path"],
                name="issue_unresolved_path",
                condition=Q(resolved__isnull=True),
            ),
            models.Index(fields=["stream", "introduced", "resolved"], name="issue_lives"),
            models.Index(
                fields=["stream", "resolved"],
                name="issue_resolved",
                condition=Q(resolved__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.detector} {self.rule} {self.path}:{self.line}"


class PastInterval(OrganizationScoped):
    """An earlier life of an issue that was resolved and came back."""

    ORGANIZATION_LOOKUP = "stream__organization"

    id = models.BigAutoField(primary_key=True)
    stream = models.ForeignKey(Stream, on_delete=models.CASCADE, related_name="+", db_index=False)
    issue = models.ForeignKey(Issue, on_delete=models.CASCADE, related_name="past_intervals")
    introduced = models.IntegerField()
    resolved = models.IntegerField()

    class Meta(OrganizationScoped.Meta):
        indexes = [
            models.Index(fields=["stream", "introduced"], name="past_interval_start"),
            models.Index(fields=["stream", "resolved"], name="past_interval_end"),
        ]

    def __str__(self) -> str:
        return f"[{self.introduced}, {self.resolved})"


class TriageEvent(OrganizationScoped):
    """One decision about one issue; the last one is the issue's state."""

    ORGANIZATION_LOOKUP = "issue__stream__organization"

    id = models.BigAutoField(primary_key=True)
    issue = models.ForeignKey(Issue, on_delete=models.CASCADE, related_name="triage_events")
    triage = models.CharField(max_length=16, choices=Triage)
    reason = models.TextField(blank=True)
    actor = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(OrganizationScoped.Meta):
        ordering = ["-created_at", "-id"]

    def __str__(self) -> str:
        return f"{self.triage} {self.created_at}"
