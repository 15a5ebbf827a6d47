"""Insight in the browser: a project, its runs, its issues."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from accounts.models import Project
from accounts.page_access import OrganizationRequest, organization_page
from insight import browsing, listing
from insight.models import Issue, Run, Severity, Stream, Triage
from insight.services import triage_issues
from storage.services import read as read_stored

PAGE_SIZE = 50
_TREND_RUNS = 60
_RECENT_RUNS = 8
_COUNTED = 2_000
"""Matches are counted up to here: counting all of a hundred thousand would cost more than the page."""
_DIFF_ORDER = ("-severity", "id")


@require_safe
@organization_page
def project(request: OrganizationRequest, project_slug: str) -> HttpResponse:
    context = _project_context(request, project_slug, "project")
    stream = context["stream"]
    if stream is not None:
        trend = browsing.trend_of(stream, runs=_TREND_RUNS)
        context |= {
            "trend": trend,
            "trend_points": _points(trend),
            "last_run": trend[-1] if trend else None,
            "recent_runs": list(browsing.runs_of(stream)[:_RECENT_RUNS]),
        }
    return render(request, "insight/project.html", context)


@require_safe
@organization_page
def runs(request: OrganizationRequest, project_slug: str) -> HttpResponse:
    context = _project_context(request, project_slug, "runs")
    if (stream := context["stream"]) is not None:
        context["page"] = listing.page_of(
            browsing.runs_of(stream),
            order=("-sequence",),
            cursor=request.GET.get("cursor", ""),
            size=PAGE_SIZE,
        )
    return render(request, "insight/runs.html", context)


@require_safe
@organization_page
def run(request: OrganizationRequest, run_id: uuid.UUID) -> HttpResponse:
    found = browsing.run_called(request.organization, run_id)
    show = request.GET.get("show", "")
    if show not in {"new", "fixed", "all"}:
        show = "new" if found.new_count or found.fixed_count else "all"
    context = _frame(request, found.stream.project, found.stream, "runs") | {
        "run": found,
        "stored": found.upload.stored,
        "before": browsing.run_before(found),
        "show": show,
        "page": listing.page_of(
            browsing.issues_of_run(found, show),
            order=_DIFF_ORDER,
            cursor=request.GET.get("cursor", ""),
            size=PAGE_SIZE,
        ),
    }
    return render(request, "insight/run.html", context)


@require_safe
@organization_page
def payload(request: OrganizationRequest, run_id: uuid.UUID) -> HttpResponse:
    """The run's document as it was sent."""
    found = browsing.run_called(request.organization, run_id)
    response = HttpResponse(read_stored(found.upload.stored), content_type="application/json")
    response["Content-Encoding"] = "gzip"
    response["Content-Disposition"] = f'attachment; filename="run-{found.pk}.json"'
    return response


@require_safe
@organization_page
def issues(request: OrganizationRequest, project_slug: str) -> HttpResponse:
    context = _project_context(request, project_slug, "issues")
    stream = context["stream"]
    if stream is None:
        return render(request, "insight/issues.html", context)
    filters = listing.IssueFilters.read(request.GET)
    rows = listing.filtered_issues(stream, filters)
    last_run = browsing.last_completed(stream)
    context |= {
        "filters": filters,
        "filtered": filters.narrowed,
        "page": listing.page_of(
            rows, order=filters.order, cursor=request.GET.get("cursor", ""), size=PAGE_SIZE
        ),
        "total": rows.order_by()[: _COUNTED + 1].count(),
        "counted": _COUNTED,
        "last_run": last_run,
        "last_sequence": last_run.sequence if last_run else 0,
        "detector_choices": browsing.detector_names(last_run),
        "severity_choices": [{"name": severity.name.lower()} for severity in Severity],
        "state_choices": listing.STATES.items(),
        "sort_choices": listing.SORTS.items(),
    }
    partial = request.htmx and not request.htmx.history_restore_request
    response = render(request, f"insight/{'_issues' if partial else 'issues'}.html", context)
    response["Vary"] = "HX-Request, Cookie"
    if partial:
        response["HX-Push-Url"] = request.get_full_path()
    return response


@require_safe
@organization_page
def issue(request: OrganizationRequest, issue_id: int) -> HttpResponse:
    found = browsing.issue_called(request.organization, issue_id)
    stream = found.stream
    context = _frame(request, stream.project, stream, "issues") | {
        "issue": found,
        "snippet_first": found.line,
        "history": browsing.life_of(found),
        "runs_lived": browsing.runs_lived(found),
        "rule_url": browsing.rule_page(found),
    }
    return render(request, "insight/issue.html", context)


@require_POST
@organization_page
def triage(request: OrganizationRequest, project_slug: str) -> HttpResponseBase:
    """What people decided about the issues they selected; back to where they were."""
    project = browsing.project_called(request.organization, project_slug)
    request.principal.require("insight:write")
    state = request.POST.get("state", "")
    chosen = [int(text) for text in request.POST.getlist("issue")[:PAGE_SIZE] if text.isdecimal()]
    if state in Triage.values and chosen:
        found = Issue.objects.for_organization(request.organization)
        count = triage_issues(
            issues=found.filter(pk__in=chosen, stream__project=project),
            state=Triage(state),
            reason=request.POST.get("reason", ""),
            by=request.principal,
        )
        messages.success(request, _told(Triage(state), count))
    else:
        messages.warning(request, _("Nothing was selected."))
    return redirect(_back(request, project))


def _told(state: Triage, count: int) -> str:
    texts = {
        Triage.ACCEPTED: ngettext("%d issue accepted", "%d issues accepted", count),
        Triage.FALSE_POSITIVE: ngettext(
            "%d issue marked as a false positive", "%d issues marked as false positives", count
        ),
        Triage.OPEN: ngettext("%d issue open again", "%d issues open again", count),
    }
    return texts[state] % count


def _back(request: HttpRequest, project: Project) -> str:
    wanted = request.POST.get("next", "")
    if url_has_allowed_host_and_scheme(wanted, allowed_hosts=None) and not urlsplit(wanted).netloc:
        return wanted
    return reverse("insight:issues", args=[project.organization.slug, project.slug])


def _project_context(request: OrganizationRequest, slug: str, section: str) -> dict[str, Any]:
    project = browsing.project_called(request.organization, slug)
    streams = browsing.streams_of(project)
    stream = browsing.stream_shown(project, streams, request.GET.get("branch", ""))
    return _frame(request, project, stream, section) | {"streams": streams}


def _frame(
    request: OrganizationRequest, project: Project, stream: Stream | None, section: str
) -> dict[str, Any]:
    """What every page below a project shows around its own content."""
    address = [request.organization.slug, project.slug]
    branch = (
        urlencode({"branch": stream.branch})
        if stream is not None and stream.branch != project.default_branch
        else ""
    )
    query = f"?{branch}" if branch else ""
    return {
        "organization": request.organization,
        "project": project,
        "stream": stream,
        "section": section,
        "branch_query": branch,
        "project_url": reverse("insight:project", args=address) + query,
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
