"""The payload types that Guardian registers."""

from __future__ import annotations

from functools import partial

from django.utils.translation import gettext_lazy as _

from guardian.receiving import (
    RESULTS_JOB,
    keep_report,
    keep_screenshot,
    receive_results,
    score_accessibility,
    score_lighthouse,
    take_in_later,
)
from odavl.wire.guardian import AccessibilityReport, LighthouseReport, PageResults
from uploads.deferred import job_type_for
from uploads.registry import PayloadType

_guardian = partial(PayloadType, product="guardian", area="guardian")

PAYLOAD_TYPES = (
    _guardian(
        name="test-results",
        receive=receive_results,
        document=PageResults,
        makes="test",
        job=job_type_for(
            RESULTS_JOB, take_in_later, area="guardian", label=_("Taking in test results")
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
