"""The payload types that Guardian registers."""

from __future__ import annotations

from functools import partial

from django.utils.translation import gettext_lazy as _

from guardian.page_tests import PAGE_TESTS
from guardian.receiving import (
    keep_report,
    keep_screenshot,
    score_accessibility,
    score_lighthouse,
)
from odavl.wire.guardian import AccessibilityReport, LighthouseReport, PageResults
from uploads.deferred import job_type_for
from uploads.registry import PayloadType

_guardian = partial(PayloadType, product="guardian", area="guardian")

PAYLOAD_TYPES = (
    _guardian(
        name="test-results",
        receive=PAGE_TESTS.receive,
        document=PageResults,
        makes="test",
        job=job_type_for(
            PAGE_TESTS.job_type,
            PAGE_TESTS.ingest_deferred,
            area="guardian",
            label=_("Taking in test results"),
        ),
    ),
    _guardian(name="screenshot", receive=keep_screenshot, document=bytes),
    _guardian(
        name="lighthouse-report",
        receive=partial(keep_report, score=score_lighthouse),
        document=LighthouseReport,
    ),
    _guardian(
        name="accessibility-report",
        receive=partial(keep_report, score=score_accessibility),
        document=AccessibilityReport,
    ),
)
