"""The payload types that Autopilot registers."""

from __future__ import annotations

from functools import partial

from django.utils.translation import gettext_lazy as _

from autopilot.cycles import CYCLES
from autopilot.receiving import keep_document, read_history, read_snapshot, read_trust
from odavl.wire.autopilot import Ledger, RunHistory, Snapshot, TrustReport
from uploads.deferred import job_type_for
from uploads.registry import PayloadType

_autopilot = partial(PayloadType, product="autopilot", area="autopilot")

PAYLOAD_TYPES = (
    _autopilot(
        name="ledger",
        receive=CYCLES.receive,
        document=Ledger,
        makes="run",
        job=job_type_for(
            CYCLES.job_type, CYCLES.ingest_deferred, area="autopilot", label=_("Taking in a ledger")
        ),
    ),
    _autopilot(
        name="snapshot", receive=partial(keep_document, read=read_snapshot), document=Snapshot
    ),
    _autopilot(
        name="recipe-trust", receive=partial(keep_document, read=read_trust), document=TrustReport
    ),
    _autopilot(
        name="run-history", receive=partial(keep_document, read=read_history), document=RunHistory
    ),
)
