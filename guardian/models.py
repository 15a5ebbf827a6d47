"""Tests of pages, their screenshots and the reports of other tools about them."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models import Project
from odavl.wire import limits
from uploads.results.models import Named


class Environment(models.TextChoices):
    DEVELOPMENT = "development", _("Development")
    STAGING = "staging", _("Staging")
    PRODUCTION = "production", _("Production")


class PageTest(Named):
    """One test of one page. NULL is what was not measured; the results themselves are an object."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="page_tests")
    test_run_id = models.CharField(max_length=limits.MAX_RUN_ID_LENGTH)
    """The client's name for it."""
    url = models.CharField(max_length=limits.MAX_URL_LENGTH)
    environment = models.CharField(max_length=11, choices=Environment)
    tested_at = models.DateTimeField()
    passed = models.IntegerField(default=0)
    failed = models.IntegerField(default=0)
    warnings = models.IntegerField(default=0)
    accessibility_score = models.FloatField(null=True)
    """From 0 to 100."""
    accessibility_violations = models.IntegerField(null=True)
    accessibility_incomplete = models.IntegerField(null=True)
    accessibility_passes = models.IntegerField(null=True)
    load_time = models.FloatField(null=True)
    """Milliseconds, as the next four."""
    ttfb = models.FloatField(null=True)
    fcp = models.FloatField(null=True)
    lcp = models.FloatField(null=True)
    tbt = models.FloatField(null=True)
    cls = models.FloatField(null=True)
    vulnerabilities = models.IntegerField(null=True)
    security_warnings = models.IntegerField(null=True)
    screenshots = models.JSONField(default=list)
    """Names of the screenshots that belong to it."""

    class Meta(Named.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "test_run_id"], name="page_test_run_id_unique"
            )
        ]
        indexes = [
            models.Index(fields=["organization", "-tested_at", "-id"], name="page_test_by_time"),
            models.Index(fields=["project", "-tested_at", "-id"], name="page_test_of_project"),
        ]

    def __str__(self) -> str:
        return f"{self.url} {self.tested_at}"


class Screenshot(Named):
    """A picture, tied to its test by the test's name: either may arrive first."""

    test_run_id = models.CharField(max_length=limits.MAX_RUN_ID_LENGTH, blank=True)
    """Empty for one that was sent without."""
    name = models.CharField(max_length=255)
    content_type = models.CharField(max_length=10)
    """As its first bytes say, whatever it was called."""
    width = models.IntegerField()
    height = models.IntegerField()
    size = models.BigIntegerField()

    class Meta(Named.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["project", "test_run_id", "name"],
                condition=~Q(test_run_id=""),
                name="screenshot_of_test_unique",
            ),
            models.UniqueConstraint(
                fields=["project", "name", "sha256"],
                condition=Q(test_run_id=""),
                name="screenshot_alone_unique",
            ),
        ]
        indexes = [
            models.Index(fields=["organization", "-created_at", "-id"], name="screenshot_by_time"),
        ]

    def __str__(self) -> str:
        return self.name


class ReportType(models.TextChoices):
    LIGHTHOUSE = "lighthouse-report", _("Lighthouse report")
    ACCESSIBILITY = "accessibility-report", _("Accessibility report")


class Report(Named):
    """Another tool's report, kept as it was sent and tied to its test as a screenshot is."""

    test_run_id = models.CharField(max_length=limits.MAX_RUN_ID_LENGTH, blank=True)
    type = models.CharField(max_length=20, choices=ReportType)
    scores = models.JSONField(default=dict)
    """From 0 to 100 by what they are about."""

    class Meta(Named.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["project", "test_run_id", "type"],
                condition=~Q(test_run_id=""),
                name="report_of_test_unique",
            ),
            models.UniqueConstraint(
                fields=["project", "type", "sha256"],
                condition=Q(test_run_id=""),
                name="report_alone_unique",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.test_run_id}"
