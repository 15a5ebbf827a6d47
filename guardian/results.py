"""The results of a test as a row: read check by check, so that their size does not matter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from guardian.models import PageTest
from odavl.wire import limits
from odavl.wire.encoding import shortened
from odavl.wire.guardian import (
    Accessibility,
    PageCheck,
    PageResultsHeader,
    Performance,
    Security,
    Summary,
)
from odavl.wire.moments import checked
from storage.naming import safe_name
from uploads.contents import Content
from uploads.documents import LongDocument

RESULTS = LongDocument(
    "tests", msgspec.json.Decoder(PageResultsHeader), msgspec.json.Decoder(PageCheck)
)


@dataclass(slots=True)
class _Tally:
    by_status: Counter[str] = field(default_factory=Counter)

    def add(self, _place: int, check: PageCheck) -> None:
        self.by_status[check.status] += 1


def page_test_from(content: Content, watch: Callable[[int], None]) -> PageTest:
    """The row of a test's results, without what says whose it is.

    Raises :class:`~odavl.wire.errors.RefusedError` with a pointer for what does not fit.
    """
    tally = _Tally()
    header = RESULTS.read(content.pieces(), tally.add, size=content.size, watch=watch)
    counted = tally.by_status
    summary = header.summary or Summary(
        passed=counted["passed"], failed=counted["failed"], warnings=counted["warning"]
    )
    return PageTest(
        test_run_id=shortened(header.test_run_id, limits.MAX_RUN_ID_LENGTH),
        sha256=content.sha256,
        url=shortened(header.url, limits.MAX_URL_LENGTH),
        environment=header.environment,
        tested_at=checked(header.timestamp, "/timestamp"),
        passed=summary.passed,
        failed=summary.failed,
        warnings=summary.warnings,
        screenshots=_names(header),
        **_measures(header),
    )


def count_of(tally: int | list[Any] | None) -> int | None:
    """How many: told as a number, or by naming each."""
    return len(tally) if isinstance(tally, list) else tally


def shown_check(check: PageCheck) -> PageCheck:
    """A check as it is shown: its texts made visible and bounded."""
    return PageCheck(
        id=shortened(check.id, limits.MAX_RULE_LENGTH),
        category=check.category,
        title=shortened(check.title, limits.MAX_MESSAGE_LENGTH),
        status=check.status,
        detail=shortened(check.detail, limits.MAX_SNIPPET_LENGTH),
        url=shortened(check.url, limits.MAX_URL_LENGTH),
    )


def _names(header: PageResultsHeader) -> list[str]:
    """As screenshots are named when they arrive, so that the two can be compared."""
    return list(dict.fromkeys(map(safe_name, header.screenshots)))[: limits.MAX_SHOWN]


def _measures(header: PageResultsHeader) -> dict[str, Any]:
    accessibility = header.accessibility or Accessibility()
    performance = header.performance or Performance()
    security = header.security or Security()
    return {
        "accessibility_score": accessibility.score,
        "accessibility_violations": count_of(accessibility.violations),
        "accessibility_incomplete": count_of(accessibility.incomplete),
        "accessibility_passes": count_of(accessibility.passes),
        "load_time": performance.load_time,
        "ttfb": performance.ttfb,
        "fcp": performance.fcp,
        "lcp": performance.lcp,
        "tbt": performance.tbt,
        "cls": performance.cls,
        "vulnerabilities": count_of(security.vulnerabilities),
        "security_warnings": count_of(security.warnings),
    }
