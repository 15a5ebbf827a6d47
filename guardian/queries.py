"""Reading tests, screenshots and reports, always as somebody."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.db.models import Avg, Count, QuerySet, Sum

from accounts.models import Project
from accounts.principal import Principal
from frame.finding import found, no_such
from guardian.models import PageTest, Report, Screenshot
from guardian.results import RESULTS, shown_check
from odavl.wire import limits
from odavl.wire.guardian import PageCheck
from storage import services as storage


@dataclass(frozen=True, slots=True)
class Statistics:
    tests: int
    passed: int
    failed: int
    warnings: int
    average_accessibility_score: float | None
    vulnerabilities: int

    @property
    def pass_rate(self) -> float | None:
        """Checks that passed among those that passed, failed or warned; None without any."""
        checks = self.passed + self.failed + self.warnings
        return self.passed / checks if checks else None


def page_tests_of(principal: Principal, project: Project | None = None) -> QuerySet[PageTest]:
    """The tests that ``principal`` sees, of one project or of all; unordered."""
    rows: QuerySet[PageTest] = PageTest.objects.for_organization(principal.organization)
    if wanted := project or principal.project:
        rows = rows.filter(project=wanted)
    return rows.select_related("project", "organization")


def page_test_of(principal: Principal, test_id: UUID) -> PageTest:
    """Raises :class:`NotFound` for a stranger's as for one that never was."""
    rows = page_tests_of(principal).select_related("project", "organization", "upload__stored")
    return found(rows.defer("upload__stored__inline").filter(pk=test_id), "test")


def checks_of(test: PageTest) -> list[PageCheck]:
    """The first checks of the test, out of its results."""
    pieces = storage.pieces_of(test.upload.stored)
    return [shown_check(check) for check in RESULTS.first(pieces, limits.MAX_SHOWN)]


def statistics(tests: QuerySet[PageTest]) -> Statistics:
    """One query over ``tests``."""
    found = tests.order_by().aggregate(
        tests=Count("pk"),
        passed_checks=Sum("passed", default=0),
        failed_checks=Sum("failed", default=0),
        warned_checks=Sum("warnings", default=0),
        score=Avg("accessibility_score"),
        holes=Sum("vulnerabilities", default=0),
    )
    return Statistics(
        tests=found["tests"],
        passed=found["passed_checks"],
        failed=found["failed_checks"],
        warnings=found["warned_checks"],
        average_accessibility_score=found["score"],
        vulnerabilities=found["holes"],
    )


def screenshots_of(principal: Principal, project: Project | None = None) -> QuerySet[Screenshot]:
    """The screenshots that ``principal`` sees, of one project or of all; unordered."""
    rows: QuerySet[Screenshot] = Screenshot.objects.for_organization(principal.organization)
    if wanted := project or principal.project:
        rows = rows.filter(project=wanted)
    return rows


def screenshot_of(principal: Principal, screenshot_id: UUID) -> Screenshot:
    """Raises :class:`NotFound` for a stranger's as for one that never was."""
    rows = screenshots_of(principal).select_related("upload__stored")
    return found(rows.defer("upload__stored__inline").filter(pk=screenshot_id), "screenshot")


def screenshots_of_test(test: PageTest) -> list[Screenshot]:
    """Those that have arrived, by name."""
    rows = Screenshot.objects.for_organization(test.organization).filter(
        project=test.project, test_run_id=test.test_run_id
    )
    return list(rows.order_by("name")[: limits.MAX_SHOWN])


def reports_of_test(test: PageTest) -> list[Report]:
    """Those that have arrived, with what is stored of them."""
    rows = Report.objects.for_organization(test.organization).filter(
        project=test.project, test_run_id=test.test_run_id
    )
    return list(
        rows.select_related("upload__stored").defer("upload__stored__inline").order_by("type")
    )


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
