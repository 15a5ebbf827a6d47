"""Insight in the browser: a project, its runs, its issues."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_POST, require_safe

from accounts.models import Project
from accounts.page_access import OrganizationRequest, member_page
from frame import listing
from insight import issue_history, queries
from insight.filters import SORTS, IssueFilter
from insight.models import Issue, Run, Severity, Stream, Triage, TriageEvent
from insight.services import MAX_REASON_LENGTH, triage_issues
from odavl.wire import limits
from odavl.wire.errors import InProgress
from storage.responses import stored_json

PAGE_SIZE = 50
_RECENT_RUNS = 8
_RECENT_BRANCHES = 20
_FEW = 500
_DIFF_ORDER = ("-severity", "id")
_RUNS_ORDER = ("-sequence",)
_BRANCHES_ORDER = ("branch", "id")

_STATES = {
    "open": gettext_lazy("Open"),
    "reopened": gettext_lazy("Came back"),
    "accepted": gettext_lazy("Accepted"),
    "false-positive": gettext_lazy("False positive"),
    "suppressed": gettext_lazy("Suppressed in the code"),
    "fixed": gettext_lazy("Fixed"),
    "all": gettext_lazy("All"),
}
_NAMES_OF_SORTS = {
    "severity": gettext_lazy("Severity"),
    "newest": gettext_lazy("Newest first"),
    "path": gettext_lazy("Path"),
    "rule": gettext_lazy("Rule"),
}
_SORTS = {sort: _NAMES_OF_SORTS[sort] for sort in SORTS}


@require_safe
@member_page
def project(request: OrganizationRequest, project_slug: str) -> HttpResponse:
    context = _project_context(request, project_slug, "project")
    stream = context["stream"]
    if stream is not None:
        trend = queries.trend(stream)
        context |= {
            "trend": trend,
            "trend_points": _points(trend),
            "last_run": queries.latest_run(stream),
            "recent_runs": list(_runs_of(stream)[:_RECENT_RUNS]),
            "decided": _decided(stream),
        }
    return render(request, "insight/project.html", context)


@require_safe
@member_page
def runs(request: OrganizationRequest, project_slug: str) -> HttpResponse:
    context = _project_context(request, project_slug, "runs")
    if (stream := context["stream"]) is not None:
        context["page"] = listing.page_of(
            _runs_of(stream),
            order=_RUNS_ORDER,
            cursor=request.GET.get("cursor", ""),
            size=PAGE_SIZE,
        )
    return render(request, "insight/runs.html", context)


@require_safe
@member_page
def run(request: OrganizationRequest, run_id: uuid.UUID) -> HttpResponse:
    found = queries.run_of(request.principal, run_id)
    before = queries.previous_run(found)
    show = request.GET.get("show", "")
    if show not in {"new", "fixed", "all"}:
        show = "new" if found.new_count or found.fixed_count else "all"
    context = _frame(request, found.stream.project, found.stream, "runs") | {
        "run": found,
        "stored": found.upload.stored,
        "before": before,
        "forgotten": 0 if before else queries.deleted_through(found.stream),
        "show": show,
        "page": listing.page_of(
            _difference(found, before, show).filter(suppressed=False),
            order=_DIFF_ORDER,
            cursor=request.GET.get("cursor", ""),
            size=PAGE_SIZE,
        ),
    }
    return render(request, "insight/run.html", context)


@require_safe
@member_page
def payload(request: OrganizationRequest, run_id: uuid.UUID) -> HttpResponseBase:
    """The run's document as it was sent."""
    found = queries.run_of(request.principal, run_id)
    response = stored_json(request, found.upload.stored)
    response["Content-Disposition"] = f'attachment; filename="run-{found.pk}.json"'
    return response


@require_safe
@member_page
def issues(request: OrganizationRequest, project_slug: str) -> HttpResponse:
    context = _project_context(request, project_slug, "issues")
    if context["stream"] is not None:
        context |= _issues_context(request, context["stream"])
    partial = request.htmx and not request.htmx.history_restore_request
    response = render(request, f"insight/{'_issues' if partial else 'issues'}.html", context)
    # One address gives the page or the list alone: a cache must tell them apart.
    response["Vary"] = "HX-Request, HX-History-Restore-Request, Cookie"
    if partial:
        response["HX-Push-Url"] = request.get_full_path()
    return response


@require_safe
@member_page
def issue(request: OrganizationRequest, issue_id: int) -> HttpResponse:
    found = queries.issue_of(request.principal, issue_id)
    stream = found.stream
    context = _frame(request, stream.project, stream, "issues") | {
        "issue": found,
        "snippet_first": found.line,
        "history": issue_history.history_of(found),
        "runs_lived": queries.runs_with(found).count(),
        "forgotten": queries.deleted_through(stream),
        "rule_url": issue_history.rule_page(found),
        "reason_limit": MAX_REASON_LENGTH,
    }
    return render(request, "insight/issue.html", context)


@require_POST
@member_page
def triage(request: OrganizationRequest, project_slug: str) -> HttpResponseBase:
    """What people decided about the issues they selected; back to where they were."""
    request.principal.require("insight:write")
    project = _project_called(request, project_slug)
    state = request.POST.get("state", "")
    chosen = [text for text in request.POST.getlist("issue")[:PAGE_SIZE] if text.isdecimal()]
    if state in Triage.values and chosen:
        own = Issue.objects.for_organization(request.organization)
        try:
            count = triage_issues(
                issues=own.filter(pk__in=chosen, stream__project=project),
                state=Triage(state),
                reason=request.POST.get("reason", "")[:MAX_REASON_LENGTH],
                by=request.principal,
            )
        except InProgress:
            messages.warning(request, _("A run changes these issues now: try again in a moment."))
        else:
            messages.success(request, _triage_message(Triage(state), count))
    else:
        messages.warning(request, _("Nothing was selected."))
    return redirect(_back(request, project))


@require_safe
@member_page
def branches(request: OrganizationRequest, project_slug: str) -> HttpResponse:
    """All branches of a project, by name, or those whose names hold a text."""
    context = _project_context(request, project_slug, "branches")
    text = request.GET.get("text", "").replace("\x00", "").strip()[: limits.MAX_BRANCH_LENGTH]
    found = queries.streams_of(context["project"])
    context |= {
        "text": text,
        "page": listing.page_of(
            found.filter(branch__icontains=text) if text else found,
            order=_BRANCHES_ORDER,
            cursor=request.GET.get("cursor", ""),
            size=PAGE_SIZE,
        ),
    }
    return render(request, "insight/branches.html", context)


def _runs_of(stream: Stream) -> Any:
    runs = queries.runs_of(stream.project.organization).filter(stream=stream)
    return runs.order_by(*_RUNS_ORDER)


def _difference(run: Run, before: Run | None, show: str) -> Any:
    """The issues that are new in the run, fixed by it, or all that lived at it."""
    if show == "all":
        return queries.issues_in(run)
    difference = queries.diff(run, before) if before else queries.diff_to_deleted(run)
    if difference is None:
        return queries.issues_in(run) if show == "new" else queries.issues_in(run).none()
    return difference.new if show == "new" else difference.fixed


def _issues_context(request: OrganizationRequest, stream: Stream) -> dict[str, object]:
    wanted = IssueFilter.from_query(request.GET)
    rows = queries.issues_of(stream, wanted)
    last_run = queries.latest_run(stream)
    count, rows = _counted(rows)
    return {
        "filter": wanted,
        "page": listing.page_of(
            rows, order=SORTS[wanted.sort], cursor=request.GET.get("cursor", ""), size=PAGE_SIZE
        ),
        "total": min(count, queries.COUNT_LIMIT),
        "more": count > queries.COUNT_LIMIT,
        "last_run": last_run,
        "last_sequence": last_run.sequence if last_run else 0,
        "detector_choices": issue_history.detector_names(last_run),
        "severity_choices": [severity.name.lower() for severity in Severity],
        "state_choices": _STATES.items(),
        "sort_choices": _SORTS.items(),
        "reason_limit": MAX_REASON_LENGTH,
    }


def _counted(rows: QuerySet[Issue]) -> tuple[int, QuerySet[Issue]]:
    """How many (bounded), and rows that give the same page for less.

    A filter that lets few issues through costs a walk over all of them: their ids are kept, so
    that counting and showing share one walk.
    """
    found = list(rows.order_by().values_list("pk", flat=True)[: _FEW + 1])
    if len(found) > _FEW:
        return queries.bounded_count(rows), rows
    return len(found), rows.filter(pk__in=found)


def _decided(stream: Stream) -> int:
    """How many unresolved issues ask for no more work, because somebody decided so.

    Counted from the decisions: they are few where the issues may be a hundred thousand.
    """
    decisions = TriageEvent.objects.for_organization(stream.project.organization)
    standing = decisions.filter(issue__stream=stream, issue__resolved=None)
    decided = standing.filter(issue__suppressed=False).exclude(issue__triage=Triage.OPEN)
    return decided.order_by().values("issue").distinct().count()


def _triage_message(state: Triage, count: int) -> str:
    texts = {
        Triage.ACCEPTED: ngettext("%d issue accepted", "%d issues accepted", count),
        Triage.FALSE_POSITIVE: ngettext(
            "%d issue marked as a false positive", "%d issues marked as false positives", count
        ),
        Triage.OPEN: ngettext("%d issue open again", "%d issues open again", count),
    }
    return texts[state] % count


def _back(request: OrganizationRequest, project: Project) -> str:
    wanted = request.POST.get("next", "")
    if wanted.startswith("/") and url_has_allowed_host_and_scheme(wanted, allowed_hosts=None):
        return wanted
    return reverse("insight:issues", args=[project.organization.slug, project.slug])


def _project_called(request: OrganizationRequest, slug: str) -> Project:
    projects = Project.objects.for_organization(request.organization)
    project: Project = get_object_or_404(projects.select_related("organization"), slug=slug)
    return project


def _project_context(request: OrganizationRequest, slug: str, section: str) -> dict[str, Any]:
    project = _project_called(request, slug)
    stream = _stream(project, request.GET.get("branch"))
    latest = list(queries.latest_streams(project)[: _RECENT_BRANCHES + 1])
    shown = latest[:_RECENT_BRANCHES]
    if stream is not None and stream not in shown:
        shown.insert(0, stream)
    return _frame(request, project, stream, section) | {
        "streams": shown,
        "more_branches": len(latest) > _RECENT_BRANCHES,
    }


def _stream(project: Project, branch: str | None) -> Stream | None:
    """The branch that was asked for, else the one that the project begins with."""
    stream = queries.stream_of(project, branch) or queries.stream_of(project)
    if stream is not None:
        stream.project = project
    return stream


def _frame(
    request: OrganizationRequest, project: Project, stream: Stream | None, section: str
) -> dict[str, object]:
    """What every page below a project shows around its own content."""
    address = [request.organization.slug, project.slug]
    elsewhere = stream is not None and stream.branch != project.default_branch
    branch = urlencode({"branch": stream.branch}) if stream is not None and elsewhere else ""
    query = f"?{branch}" if branch else ""
    return {
        "organization": request.organization,
        "project": project,
        "stream": stream,
        "section": section,
        "branch_query": branch,
        "project_url": reverse("insight:project", args=address) + query,
        "branches_url": reverse("insight:branches", args=address),
        "issues_url": reverse("insight:issues", args=address) + query,
        "issues_path": reverse("insight:issues", args=address),
        "upload_command": f"odavl insight analyze --upload --project {project.slug}",
        "may_triage": request.principal.may("insight:write"),
    }


def _points(trend: list[Run]) -> dict[str, list[int]]:
    return {
        "sequence": [each.sequence for each in trend],
        "open": [each.open_total for each in trend],
        "new": [each.new_count for each in trend],
        "fixed": [each.fixed_count for each in trend],
    }
