"""Tests of pages as a kind of result: which can be asked for, in which order, how counted."""

from __future__ import annotations

from django.db.models import Avg, Count, Q, QuerySet, Sum
from django.utils.translation import gettext_lazy as _

from guardian.models import PageTest
from guardian.results import RESULTS, page_test_from, shown_check
from odavl.wire import limits
from odavl.wire.guardian import ENVIRONMENTS, PageCheck, PageTestStatistics
from uploads.results.filters import Filter, Sort, choice, moment, text
from uploads.results.ingest import Taken
from uploads.results.kinds import Kind


def statistics(tests: QuerySet[PageTest]) -> PageTestStatistics:
    """One query over ``tests``."""
    found = tests.order_by().aggregate(
        tests=Count("pk"),
        passed_checks=Sum("passed", default=0),
        failed_checks=Sum("failed", default=0),
        warned_checks=Sum("warnings", default=0),
        score=Avg("accessibility_score"),
        holes=Sum("vulnerabilities", default=0),
    )
    checks = found["passed_checks"] + found["failed_checks"] + found["warned_checks"]
    return PageTestStatistics(
        tests=found["tests"],
        passed=found["passed_checks"],
        failed=found["failed_checks"],
        warnings=found["warned_checks"],
        pass_rate=found["passed_checks"] / checks if checks else None,
        average_accessibility_score=found["score"],
        vulnerabilities=found["holes"],
    )


FILTER = Filter(
    criteria=(
        choice(
            "environment",
            "Only tests of this environment.",
            {name: Q(environment=name) for name in ENVIRONMENTS},
        ),
        choice(
            "outcome",
            "Only tests in which a check failed, or none did.",
            {"passed": Q(failed=0), "failed": Q(failed__gt=0)},
        ),
        text(
            "url",
            "Only tests of pages whose address begins so.",
            "url__startswith",
            most=limits.MAX_URL_LENGTH,
        ),
        text("testRunId", "Only the test that the client named so.", "test_run_id"),
        moment("since", "Only tests of then or later.", "tested_at__gte"),
        moment("until", "Only tests of before.", "tested_at__lt"),
    ),
    sorts={
        "-timestamp": Sort(_("Newest first"), ("-tested_at", "-id")),
        "timestamp": Sort(_("Oldest first"), ("tested_at", "id")),
        "-failed": Sort(_("Most failures"), ("-failed", "-id")),
        "url": Sort(_("Page"), ("url", "id")),
    },
)
PAGE_TESTS: Kind[PageTest, PageCheck, PageCheck, PageTestStatistics] = Kind(
    model=PageTest,
    room="guardian",
    noun="test",
    page="test",
    name="test_run_id",
    taken=Taken("The test's id is taken: by other results, or in another project.", "/testRunId"),
    job_type="guardian.results",
    document=RESULTS,
    read=page_test_from,
    shown=shown_check,
    filter=FILTER,
    statistics=statistics,
)
