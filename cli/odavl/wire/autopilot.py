"""The payloads of Autopilot, and what the hub tells of its runs.

A score, of trust or of anything else, is a share from 0 to 1.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from odavl.wire import limits
from odavl.wire.account import Id, Time
from odavl.wire.insight import StoredPayload
from odavl.wire.moments import Moment

PhaseName = Literal["observe", "decide", "act", "verify", "learn"]
PHASES: tuple[PhaseName, ...] = ("observe", "decide", "act", "verify", "learn")
RunPhase = Literal[
    "observe", "decide", "act", "verify", "learn", "completed", "rolled-back", "failed"
]
RUN_PHASES: tuple[RunPhase, ...] = (*PHASES, "completed", "rolled-back", "failed")
ENDED: tuple[RunPhase, ...] = ("completed", "rolled-back", "failed")
Verdict = Literal["kept", "reverted"]
DocumentType = Literal["snapshot", "recipe-trust", "run-history"]

_LARGEST = 2**31 - 1
Count = Annotated[int, Meta(ge=0, le=_LARGEST)]
Milliseconds = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Share = Annotated[float, Meta(ge=0, le=1)]
RunId = Annotated[str, Meta(min_length=1, max_length=limits.MAX_RUN_ID_LENGTH)]


# ── What is uploaded ─────────────────────────────────────────────────────────


class PhaseReport(msgspec.Struct, kw_only=True, rename="camel"):
    """One of the five phases.

    ``status`` is ``completed``, ``failed``, ``skipped`` or ``running``; another word is kept and
    shown as it is. ``metrics`` are whatever the phase counts.
    """

    status: str
    duration_ms: Milliseconds = 0
    metrics: dict[str, Any] = {}


class Phases(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A phase that was not reached is left out."""

    observe: PhaseReport | None = None
    decide: PhaseReport | None = None
    act: PhaseReport | None = None
    verify: PhaseReport | None = None
    learn: PhaseReport | None = None


class Edit(msgspec.Struct, kw_only=True, rename="camel"):
    """One file that a recipe changed. ``path`` is relative to the project's root."""

    path: str
    recipe: str = ""
    diff: str = ""
    """Unified."""
    findings_closed: list[str] = []
    """Fingerprints of the findings that it was made for and that are gone since."""
    verdict: Verdict = "kept"
    reason: str = ""
    """Why it was reverted."""


class LedgerHeader(msgspec.Struct, kw_only=True, rename="camel"):
    """Everything of a ledger but its edits."""

    run_id: RunId
    """Unique in an organization."""
    started_at: Moment
    finished_at: Moment | None = None
    phase: RunPhase = "completed"
    """How it ended, or where it stopped."""
    phases: Phases = msgspec.field(default_factory=Phases)
    selected_recipe: str | None = None
    files_modified: Count | list[str] | None = None
    """How many, or which. None: those of the edits that were kept."""
    trust_score: Share | None = None
    """In the recipe, after the run."""
    quality_improved: bool | None = None
    """None where nothing was measured."""


class Ledger(LedgerHeader, kw_only=True, rename="camel"):
    """The record of one run (``ledger``)."""

    edits: list[Edit] = []


class Snapshot(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True):
    """What undo needs (``snapshot``): of each file what it held before, null for one not there."""

    snapshot_id: str = ""
    run_id: str = ""
    created_at: Moment | None = None
    files: dict[str, str | None] = {}


class RecipeTrust(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True):
    """How far one recipe has earned its use."""

    recipe: Annotated[str, Meta(min_length=1, max_length=limits.MAX_RULE_LENGTH)]
    trust: Share
    runs: Count = 0
    successes: Count = 0
    failures: Count = 0
    blocked: bool = False
    """Not used any more until a person says so."""


class TrustReport(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True):
    """The trust in every recipe (``recipe-trust``)."""

    recipes: list[RecipeTrust]
    updated_at: Moment | None = None


class HistoryEntry(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True):
    run_id: RunId
    started_at: Moment
    finished_at: Moment | None = None
    phase: RunPhase = "completed"
    selected_recipe: str | None = None
    files_modified: Count = 0
    trust_score: Share | None = None
    quality_improved: bool | None = None


class RunHistory(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True):
    """The runs that a machine remembers (``run-history``)."""

    runs: list[HistoryEntry]
    updated_at: Moment | None = None


# ── What the hub tells ───────────────────────────────────────────────────────


class CycleSummary(msgspec.Struct, kw_only=True, rename="camel"):
    """One run. ``id`` is the hub's, ``runId`` the client's."""

    id: Id
    run_id: str
    project_id: Id
    phase: RunPhase
    started_at: Time
    finished_at: Time | None
    selected_recipe: str | None
    files_modified: int
    edits_kept: int
    edits_reverted: int
    findings_closed: int
    """By the edits that were kept."""
    trust_score: float | None
    quality_improved: bool | None
    url: str
    created_at: Time
    """When the hub took it in."""


class ShownEdit(msgspec.Struct, kw_only=True, rename="camel"):
    path: str
    recipe: str
    diff: str
    findings_closed: list[str]
    verdict: Verdict
    reason: str


class CycleDetail(CycleSummary, kw_only=True, rename="camel"):
    """``GET /api/v1/autopilot/runs/{id}``.

    ``edits`` are the first ones, with long differences shortened; the payload has all of them.
    """

    phases: dict[str, PhaseReport]
    edits: list[ShownEdit]
    payload: StoredPayload


class CycleStatistics(msgspec.Struct, kw_only=True, rename="camel"):
    """Over every run that the filter wants, not only those of the page."""

    runs: int
    completed: int
    rolled_back: int
    failed: int
    success_rate: float | None
    """Completed ones among those that ended, from 0 to 1; null where none did."""
    edits_kept: int
    edits_reverted: int
    findings_closed: int


class CyclePage(msgspec.Struct, kw_only=True, omit_defaults=True):
    items: list[CycleSummary]
    statistics: CycleStatistics
    total: int = 0
    next: str | None = None


class TrustItem(msgspec.Struct, kw_only=True, rename="camel"):
    project_id: Id
    recipe: str
    trust: float
    runs: int
    successes: int
    failures: int
    blocked: bool
    updated_at: Time


class TrustPage(msgspec.Struct, kw_only=True, omit_defaults=True):
    items: list[TrustItem]
    total: int = 0
    next: str | None = None


class KeptDocument(msgspec.Struct, kw_only=True, rename="camel"):
    """The latest snapshot, recipe trust or run history of a project."""

    type: DocumentType
    project_id: Id
    run_id: str | None
    updated_at: Time
    payload: StoredPayload


class KeptDocuments(msgspec.Struct, kw_only=True):
    items: list[KeptDocument]
