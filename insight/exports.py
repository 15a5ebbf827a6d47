"""What Insight gives to an export: runs, issues as they stand, and every decision about them."""

from __future__ import annotations

import msgspec
from django.db.models import QuerySet

from accounts import exports
from accounts.models import Organization, Project
from accounts.rendering import iso
from insight.models import Issue, Run, TriageEvent
from insight.rendering import issue_summary, run_detail

_PROJECT = "stream__project"


def register_all() -> None:
    exports.register("insight-runs", _runs, run_detail)
    exports.register("insight-issues", _issues, _issue)
    exports.register("insight-triage", _decisions, _decision)


def _runs(organization: Organization, project: Project | None) -> QuerySet[Run]:
    rows = exports.in_project(Run, _PROJECT)(organization, project)
    loaded = rows.select_related("stream__project__organization", "upload__stored")
    return loaded.defer("upload__stored__inline")


def _issues(organization: Organization, project: Project | None) -> QuerySet[Issue]:
    rows = exports.in_project(Issue, _PROJECT)(organization, project)
    return rows.select_related("stream__project__organization")


def _issue(issue: Issue) -> dict[str, object]:
    shown: dict[str, object] = msgspec.to_builtins(issue_summary(issue))
    return shown | {
        "projectId": str(issue.stream.project_id),
        "branch": issue.stream.branch,
        "snippet": issue.snippet,
        "fix": issue.fix,
        "ruleUrl": issue.url,
    }


def _decisions(organization: Organization, project: Project | None) -> QuerySet[TriageEvent]:
    rows = exports.in_project(TriageEvent, f"issue__{_PROJECT}")(organization, project)
    return rows.select_related("actor")


def _decision(event: TriageEvent) -> dict[str, object]:
    return {
        "issueId": event.issue_id,
        "triage": event.triage,
        "reason": event.reason,
        "actor": event.actor.email if event.actor else None,
        "createdAt": iso(event.created_at),
    }
