"""Reading the screenshots and reports of a test."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet

from accounts.principal import Principal
from frame.finding import found, no_such
from guardian.models import PageTest, Report, Screenshot
from odavl.wire import limits
from uploads.results.kinds import seen_by, with_stored


def screenshot_of(principal: Principal, screenshot_id: UUID) -> Screenshot:
    """Raises :class:`NotFound` for a stranger's as for one that never was."""
    rows = seen_by(Screenshot, principal).filter(pk=screenshot_id)
    return found(with_stored(rows), "screenshot")


def screenshots_of_test(test: PageTest) -> list[Screenshot]:
    """Those that have arrived, by name."""
    rows: QuerySet[Screenshot] = Screenshot.objects.for_organization(test.organization)
    rows = rows.filter(project=test.project, test_run_id=test.test_run_id)
    return list(rows.order_by("name")[: limits.MAX_SHOWN])


def reports_of_test(test: PageTest) -> list[Report]:
    """Those that have arrived, with what is stored of them."""
    rows: QuerySet[Report] = Report.objects.for_organization(test.organization)
    rows = rows.filter(project=test.project, test_run_id=test.test_run_id)
    return list(with_stored(rows).order_by("type"))


def report_of(test: PageTest, report_type: str) -> Report:
    """Raises :class:`NotFound` where the test has none of that type."""
    report = next((each for each in reports_of_test(test) if each.type == report_type), None)
    if report is None:
        raise no_such("report")
    return report


def missing_screenshots(test: PageTest, arrived: list[Screenshot]) -> list[str]:
    """Names that the results tell of and that have not arrived."""
    names = {screenshot.name for screenshot in arrived}
    return [name for name in test.screenshots if name not in names]
