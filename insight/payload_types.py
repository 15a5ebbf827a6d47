"""The payload types that Insight registers."""

from __future__ import annotations

from functools import partial

from insight.receiving import keep, receive_run
from odavl.wire.analysis import AnalysisResults
from odavl.wire.envelope import detector_of_type
from odavl.wire.sarif import SarifLog
from uploads.registry import PayloadType

_insight = partial(PayloadType, product="insight", area="insight")

PAYLOAD_TYPES = (
    _insight(name="analysis-results", receive=receive_run, document=AnalysisResults, makes="run"),
    _insight(name="sarif", receive=receive_run, document=SarifLog, makes="run"),
    _insight(name="ml-training", receive=keep, document=dict),
    _insight(name="error-signatures", receive=keep, document=dict),
    _insight(
        name="detector-<name>",
        matches=lambda upload_type: detector_of_type(upload_type) is not None,
        receive=receive_run,
        document=AnalysisResults,
        makes="run",
    ),
)
