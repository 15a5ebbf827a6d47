"""Rows as wire documents."""

from __future__ import annotations

from typing import Any, cast

from django.conf import settings
from django.urls import reverse

from accounts.rendering import iso
from guardian.models import PageTest, Report, Screenshot
from guardian.page_tests import PAGE_TESTS
from guardian.queries import missing_screenshots
from odavl.wire import guardian as wire
from uploads.results.addresses import stored_payload


def page_test_summary(test: PageTest) -> wire.PageTestSummary:
    """Needs its organization loaded."""
    return wire.PageTestSummary(**_test(test))


def page_test_detail(
    test: PageTest,
    *,
    checks: list[wire.PageCheck],
    screenshots: list[Screenshot],
    reports: list[Report],
) -> wire.PageTestDetail:
    """Needs ``upload__stored`` of test and reports loaded as well."""
    return wire.PageTestDetail(
        **_test(test),
        tests=checks,
        screenshots=[screenshot_item(each) for each in screenshots],
        missing_screenshots=missing_screenshots(test, screenshots),
        reports=[_report(test, each) for each in reports],
        payload=stored_payload(test.upload.stored, "guardian-test-payload", test.pk),
    )


def screenshot_item(screenshot: Screenshot) -> wire.ScreenshotItem:
    path = reverse("guardian-screenshot-content", args=[screenshot.pk])
    return wire.ScreenshotItem(
        id=str(screenshot.pk),
        test_run_id=screenshot.test_run_id or None,
        project_id=str(screenshot.project_id),
        name=screenshot.name,
        content_type=cast("wire.ImageType", screenshot.content_type),
        width=screenshot.width,
        height=screenshot.height,
        size=screenshot.size,
        sha256=screenshot.sha256,
        download_url=f"{settings.PUBLIC_URL}{path}",
        created_at=str(iso(screenshot.created_at)),
    )


def _report(test: PageTest, report: Report) -> wire.ReportItem:
    return wire.ReportItem(
        type=cast("wire.ReportType", report.type),
        scores=report.scores,
        payload=stored_payload(report.upload.stored, "guardian-report", test.pk, report.type),
    )


def _test(test: PageTest) -> dict[str, Any]:
    return {
        "id": str(test.pk),
        "test_run_id": test.test_run_id,
        "project_id": str(test.project_id),
        "url": test.url,
        "environment": test.environment,
        "timestamp": iso(test.tested_at),
        "passed": test.passed,
        "failed": test.failed,
        "warnings": test.warnings,
        "accessibility": wire.ShownAccessibility(
            score=test.accessibility_score,
            violations=test.accessibility_violations,
            incomplete=test.accessibility_incomplete,
            passes=test.accessibility_passes,
        ),
        "performance": wire.Performance(
            load_time=test.load_time,
            ttfb=test.ttfb,
            fcp=test.fcp,
            lcp=test.lcp,
            cls=test.cls,
            tbt=test.tbt,
        ),
        "security": wire.ShownSecurity(
            vulnerabilities=test.vulnerabilities, warnings=test.security_warnings
        ),
        "report_url": PAGE_TESTS.address(test),
        "created_at": iso(test.created_at),
    }
