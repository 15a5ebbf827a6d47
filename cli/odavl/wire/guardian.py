"""The payloads of Guardian, and what the hub tells of its tests.

Times of a page are milliseconds; the score of an audit goes from 0 to 100, as its tools have it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from odavl.wire import limits
from odavl.wire.account import Id, Time
from odavl.wire.insight import StoredPayload
from odavl.wire.moments import Moment

Environment = Literal["development", "staging", "production"]
ENVIRONMENTS: tuple[Environment, ...] = ("development", "staging", "production")
Category = Literal["accessibility", "performance", "security", "visual", "functional"]
CheckStatus = Literal["passed", "failed", "warning", "skipped"]
ImageType = Literal["image/png", "image/jpeg"]
ReportType = Literal["lighthouse-report", "accessibility-report"]

_LARGEST = 2**31 - 1
Count = Annotated[int, Meta(ge=0, le=_LARGEST)]
Score = Annotated[float, Meta(ge=0, le=100)]
Measure = Annotated[float, Meta(ge=0, le=1e12)]
Tally = Count | list[Any]
"""How many, or each of them."""
TestRunId = Annotated[str, Meta(min_length=1, max_length=limits.MAX_RUN_ID_LENGTH)]


# ── What is uploaded ─────────────────────────────────────────────────────────


class PageCheck(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True):
    """One thing that was looked at."""

    id: str
    category: Category
    title: str
    status: CheckStatus
    detail: str = ""
    """What was found, for a person."""
    url: str = ""
    """Where the rule is explained."""


class Accessibility(msgspec.Struct, kw_only=True):
    score: Score | None = None
    violations: Tally | None = None
    incomplete: Tally | None = None
    passes: Tally | None = None


class Performance(msgspec.Struct, kw_only=True, rename="camel"):
    """``cls`` has no unit, the others are milliseconds."""

    load_time: Measure | None = None
    ttfb: Measure | None = None
    fcp: Measure | None = None
    lcp: Measure | None = None
    cls: Measure | None = None
    tbt: Measure | None = None


class Security(msgspec.Struct, kw_only=True):
    vulnerabilities: Tally | None = None
    warnings: Tally | None = None


class Summary(msgspec.Struct, kw_only=True):
    passed: Count = 0
    failed: Count = 0
    warnings: Count = 0


class PageResultsHeader(msgspec.Struct, kw_only=True, rename="camel"):
    """Everything of the results but the single checks."""

    test_run_id: TestRunId
    """Unique in an organization."""
    timestamp: Moment
    url: str
    environment: Environment = "development"
    accessibility: Accessibility | None = None
    performance: Performance | None = None
    security: Security | None = None
    screenshots: list[str] = []
    """Names of the screenshots that are uploaded beside it."""
    summary: Summary | None = None
    """None: counted from the checks."""


class PageResults(PageResultsHeader, kw_only=True, rename="camel"):
    """What one test of one page found (``test-results``)."""

    tests: list[PageCheck] = []


class LighthouseCategory(msgspec.Struct, kw_only=True, omit_defaults=True):
    title: str = ""
    score: Annotated[float, Meta(ge=0, le=1)] | None = None


class LighthouseReport(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True):
    """The part of Lighthouse's own JSON that is read (``lighthouse-report``)."""

    lighthouse_version: str = ""
    final_url: str = ""
    categories: dict[str, LighthouseCategory] = {}


class AccessibilityReport(Accessibility, kw_only=True):
    """The part of an audit's own JSON that is read (``accessibility-report``)."""

    url: str = ""


# ── What the hub tells ───────────────────────────────────────────────────────


class ShownAccessibility(msgspec.Struct, kw_only=True):
    score: float | None
    violations: int | None
    incomplete: int | None
    passes: int | None


class ShownSecurity(msgspec.Struct, kw_only=True):
    vulnerabilities: int | None
    warnings: int | None


class PageTestSummary(msgspec.Struct, kw_only=True, rename="camel"):
    """One test. ``id`` is the hub's, ``testRunId`` the client's; null is what was not measured."""

    id: Id
    test_run_id: str
    project_id: Id
    url: str
    """Of the page that was tested."""
    environment: Environment
    timestamp: Time
    passed: int
    failed: int
    warnings: int
    accessibility: ShownAccessibility
    performance: Performance
    security: ShownSecurity
    report_url: str
    """Where a person sees it."""
    created_at: Time
    """When the hub took it in."""


class ScreenshotItem(msgspec.Struct, kw_only=True, rename="camel"):
    """One picture; ``testRunId`` is null for one that was sent without."""

    id: Id
    test_run_id: str | None
    project_id: Id
    name: str
    content_type: ImageType
    width: int
    height: int
    size: int
    sha256: str
    download_url: str
    created_at: Time


class ReportItem(msgspec.Struct, kw_only=True, rename="camel"):
    """A report of another tool; ``scores`` from 0 to 100 by what they are about."""

    type: ReportType
    scores: dict[str, float]
    payload: StoredPayload


class PageTestDetail(PageTestSummary, kw_only=True, rename="camel"):
    """``GET /api/v1/guardian/tests/{id}``.

    ``tests`` are the first checks, with long texts shortened; the payload has all of them.
    """

    tests: list[PageCheck]
    screenshots: list[ScreenshotItem]
    missing_screenshots: list[str]
    """Named by the results, and not arrived (yet)."""
    reports: list[ReportItem]
    payload: StoredPayload


class PageTestStatistics(msgspec.Struct, kw_only=True, rename="camel"):
    """Over every test that the filter wants, not only those of the page."""

    tests: int
    passed: int
    failed: int
    warnings: int
    pass_rate: float | None
    """Checks that passed among those that passed, failed or warned, from 0 to 1."""
    average_accessibility_score: float | None
    vulnerabilities: int


class PageTestPage(msgspec.Struct, kw_only=True, omit_defaults=True):
    items: list[PageTestSummary]
    statistics: PageTestStatistics
    total: int = 0
    next: str | None = None


class ScreenshotPage(msgspec.Struct, kw_only=True, omit_defaults=True):
    items: list[ScreenshotItem]
    total: int = 0
    next: str | None = None
