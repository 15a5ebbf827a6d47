"""What the hub tells of Insight: runs, what a run changed, issues and their lives."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from odavl.wire.account import Id, Time
from odavl.wire.analysis import DetectorReport, Metrics, Severity

IssueId = Annotated[int, msgspec.Meta(ge=1)]
Triage = Literal["open", "accepted", "false-positive"]
IssueState = Literal["open", "accepted", "false-positive", "suppressed", "fixed", "reopened"]
RunState = Literal["queued", "completed", "failed"]


class SeverityCounts(msgspec.Struct, kw_only=True):
    critical: int = 0
    high: int = 0
    medium: int = 0
    low: int = 0
    info: int = 0


class RunCounts(msgspec.Struct, kw_only=True):
    """Of one run, suppressed findings left out; ``total`` is new + unchanged + reopened."""

    total: int
    new: int
    fixed: int
    unchanged: int
    reopened: int
    suppressed: int
    trimmed: int
    """Findings whose texts were longer than the hub keeps."""
    superseded: int
    """Findings of a late run that were left out, as later analyses have looked there."""


class RunGit(msgspec.Struct, kw_only=True):
    remote: str
    commit: str


class StoredPayload(msgspec.Struct, kw_only=True, rename="camel"):
    """The document as it was sent. ``size`` is that of the uncompressed bytes."""

    sha256: str
    size: int
    download_url: str
    expired_at: str | None = None
    """Since when it is not kept any more, and cannot be downloaded; null while it can."""


class RunSummary(msgspec.Struct, kw_only=True, rename="camel"):
    id: Id
    project_id: Id
    branch: str
    sequence: int
    """1, 2, 3… in the order in which the hub received the runs of the branch."""
    state: RunState
    url: str
    created_at: Time
    finished_at: Time | None
    analysed_at: Time | None
    """When the analysis was made; null until it is known, and for runs of old hubs."""
    late: bool
    """Whether a later analysis had arrived before: then this run speaks only for the rest."""
    git: RunGit
    counts: RunCounts
    by_severity: SeverityCounts


class RunDetail(RunSummary, kw_only=True, rename="camel"):
    """``GET /api/v1/insight/runs/{id}``; ``files`` is null for a run over the whole project."""

    detectors: list[DetectorReport]
    files: list[str] | None
    metrics: Metrics
    open_total: int
    """Unresolved issues of the branch after this run, those out of its scope included."""
    open_by_severity: SeverityCounts
    payload: StoredPayload
    problem: dict[str, object] | None


class RunPage(msgspec.Struct, kw_only=True, omit_defaults=True):
    items: list[RunSummary]
    total: int | None = None
    next: str | None = None


class IssueSummary(msgspec.Struct, kw_only=True, rename="camel"):
    id: IssueId
    detector: str
    rule: str
    severity: Severity
    message: str
    path: str
    line: int
    column: int
    end_line: int | None
    end_column: int | None
    state: IssueState
    triage: Triage
    suppressed: bool
    introduced: int
    """Sequence of the run that introduced it."""
    resolved: int | None
    """Sequence of the first run without it."""
    fingerprint: str
    url: str


class Life(msgspec.Struct, kw_only=True, rename="camel"):
    """One interval of an issue. ``resolved`` is null while it is there.

    What is told of a run is null where the hub does not keep it any more; its number stays.
    """

    introduced: int
    """Sequence of the first run of the interval."""
    introduced_by: Id | None
    introduced_at: Time | None
    resolved: int | None
    """Sequence of the first run without it."""
    resolved_by: Id | None
    resolved_at: Time | None


class IssueDetail(IssueSummary, kw_only=True, rename="camel"):
    project_id: Id
    branch: str
    snippet: str
    fix: str
    rule_url: str
    lives: list[Life]
    """Latest first."""


class IssuePage(msgspec.Struct, kw_only=True, omit_defaults=True):
    items: list[IssueSummary]
    total: int | None = None
    """On the first page; left out where there are more than 10,000, or a text was searched for
    and there is more than one page."""
    next: str | None = None


class DiffPart(msgspec.Struct, kw_only=True, omit_defaults=True):
    """``next`` is the cursor for ``?part=new`` or ``?part=fixed``."""

    count: int
    items: list[IssueSummary]
    next: str | None = None


class DiffCount(msgspec.Struct, kw_only=True):
    count: int


class RunDiff(msgspec.Struct, kw_only=True):
    """``GET /api/v1/insight/runs/{id}/diff?against={id}``."""

    run: Id
    against: Id | None
    """Null for the first run of a branch: everything in it is new."""
    new: DiffPart
    fixed: DiffPart
    unchanged: DiffCount
