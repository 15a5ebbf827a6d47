"""A ledger as a row: read edit by edit, so that its size does not matter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import msgspec

from autopilot.models import Cycle
from odavl.wire import limits
from odavl.wire.autopilot import PHASES, Edit, LedgerHeader, PhaseReport, ShownEdit
from odavl.wire.encoding import shortened
from odavl.wire.errors import FieldError, InvalidPayload
from odavl.wire.moments import checked
from odavl.wire.paths import clean_path
from uploads.contents import Content
from uploads.documents import LongDocument

LEDGER = LongDocument("edits", msgspec.json.Decoder(LedgerHeader), msgspec.json.Decoder(Edit))
MAX_EDITS = 100_000
MAX_METRICS = 20
"""Metrics of a phase that are kept in the row."""

_MAX_STATUS_LENGTH = 40
_MAX_FINGERPRINTS = 100
_MAX_COUNT = 2**31 - 1
_LARGEST_EXACT = 2**53


@dataclass(slots=True)
class _Tally:
    kept: int = 0
    reverted: int = 0
    closed: int = 0
    files: set[str] = field(default_factory=set)

    def add(self, place: int, edit: Edit) -> None:
        if place >= MAX_EDITS:
            raise InvalidPayload(
                f"A ledger may have {MAX_EDITS} edits.",
                errors=(FieldError("/edits", "too_long", "Too many."),),
            )
        path = clean_path(edit.path, f"/edits/{place}/path")
        if edit.verdict == "reverted":
            self.reverted += 1
            return
        self.kept += 1
        self.closed += len(edit.findings_closed)
        self.files.add(path)


def cycle_from(content: Content, watch: Callable[[int], None]) -> Cycle:
    """The row of a ledger, without what says whose it is.

    Raises :class:`~odavl.wire.errors.RefusedError` with a pointer for what does not fit.
    """
    tally = _Tally()
    header = LEDGER.read(content.pieces(), tally.add, size=content.size, watch=watch)
    modified = header.files_modified
    if modified is None:
        modified = len(tally.files)
    return Cycle(
        run_id=shortened(header.run_id, limits.MAX_RUN_ID_LENGTH),
        sha256=content.sha256,
        phase=header.phase,
        phases=_phases(header),
        started_at=checked(header.started_at, "/startedAt"),
        finished_at=checked(header.finished_at, "/finishedAt") if header.finished_at else None,
        selected_recipe=shortened(header.selected_recipe or "", limits.MAX_RULE_LENGTH),
        files_modified=len(modified) if isinstance(modified, list) else modified,
        edits_kept=tally.kept,
        edits_reverted=tally.reverted,
        findings_closed=min(tally.closed, _MAX_COUNT),
        trust_score=header.trust_score,
        quality_improved=header.quality_improved,
    )


def shown_edit(edit: Edit) -> ShownEdit:
    """An edit as it is shown: its texts made visible and bounded."""
    return ShownEdit(
        path=shortened(edit.path, limits.MAX_PATH_LENGTH),
        recipe=shortened(edit.recipe, limits.MAX_RULE_LENGTH),
        diff=shortened(edit.diff, limits.MAX_DIFF_LENGTH),
        findings_closed=[
            shortened(name, limits.MAX_RULE_LENGTH)
            for name in edit.findings_closed[:_MAX_FINGERPRINTS]
        ],
        verdict=edit.verdict,
        reason=shortened(edit.reason, limits.MAX_MESSAGE_LENGTH),
    )


def _phases(header: LedgerHeader) -> dict[str, Any]:
    reports = {name: getattr(header.phases, name) for name in PHASES}
    return {name: _plain(report) for name, report in reports.items() if report is not None}


def _plain(report: PhaseReport) -> dict[str, Any]:
    return {
        "status": shortened(report.status, _MAX_STATUS_LENGTH),
        "durationMs": report.duration_ms,
        "metrics": {
            shortened(name, limits.MAX_NAME_LENGTH): value
            for name, metric in list(report.metrics.items())[:MAX_METRICS]
            if (value := _plain_metric(metric)) is not None
        },
    }


def _plain_metric(metric: Any) -> str | float | bool | None:
    """A metric as any database keeps it; None for what is no single value."""
    if isinstance(metric, str):
        return shortened(metric, limits.MAX_NAME_LENGTH)
    if isinstance(metric, bool):
        return metric
    if isinstance(metric, int | float) and isfinite(metric) and abs(metric) < _LARGEST_EXACT:
        return metric
    return None
