"""The hub's jobs of an organization: how far they are, and what may be done about them."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import cast, get_args

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe

from accounts.page_access import OrganizationRequest, organization_page
from accounts.principal import Principal
from frame.listing import page_of
from jobs import actions, queries
from jobs.models import UNFINISHED, Job, State
from jobs.registry import job_type_named, name_of
from odavl.wire.errors import Conflict, InProgress, NotFound
from odavl.wire.jobs import JobAction

PAGE_SIZE = 30
_ORDER = ("-created_at", "-id")
_DONE = {
    "retry": gettext_lazy("The job runs again."),
    "cancel": gettext_lazy("The job is cancelled."),
    "pause": gettext_lazy("The job is paused."),
    "resume": gettext_lazy("The job goes on."),
}
_ALLOWED: dict[str, tuple[JobAction, ...]] = {
    State.WAITING: ("pause", "cancel"),
    State.ACTIVE: ("pause", "cancel"),
    State.DELAYED: ("pause", "cancel"),
    State.PAUSED: ("resume", "cancel"),
    State.FAILED: ("retry",),
    State.CANCELLED: ("retry",),
}


@dataclass(frozen=True, slots=True)
class ShownJob:
    """A job with what the page says of it. ``actions`` are those the person may take."""

    job: Job
    name: str
    url: str
    actions: tuple[JobAction, ...]


@require_safe
@organization_page
def jobs(request: OrganizationRequest) -> HttpResponse:
    """The page, or for htmx the list alone."""
    partial = request.htmx and not request.htmx.history_restore_request
    template = "dashboard/_jobs.html" if partial else "dashboard/jobs.html"
    response = render(request, template, _context(request))
    response["Vary"] = "HX-Request, HX-History-Restore-Request, Cookie"
    return response


@require_POST
@organization_page
def act(request: OrganizationRequest, job_id: uuid.UUID) -> HttpResponse:
    """Retry, cancel, pause or resume; then back to where the person was."""
    action = request.POST.get("action", "")
    if action not in get_args(JobAction):
        raise Http404
    try:
        job = queries.visible_job(request.principal, job_id, level="write")
        actions.act(job, cast("JobAction", action), by=request.principal)
    except NotFound as error:
        raise Http404(error.detail) from error
    except (Conflict, InProgress) as error:
        messages.warning(request, _("That is not possible any more: %s") % error.detail)
    else:
        messages.success(request, str(_DONE[action]))
    wanted = request.POST.get("next", "")
    if wanted.startswith("/") and url_has_allowed_host_and_scheme(wanted, allowed_hosts=None):
        return redirect(wanted)
    return redirect("dashboard:jobs", organization_slug=request.organization.slug)


def _context(request: OrganizationRequest) -> dict[str, object]:
    visible = queries.visible_jobs(request.principal)
    found = queries.statistics(visible)
    state = request.GET.get("state", "")
    job_type = request.GET.get("type", "")
    rows = queries.filtered(
        visible,
        states=(state,) if state in State.values else (),
        types=(job_type,) if job_type in found.by_type else (),
    ).select_related("project")
    page = page_of(rows, order=_ORDER, cursor=request.GET.get("cursor", ""), size=PAGE_SIZE)
    return {
        "organization": request.organization,
        "section": "jobs",
        "page": page,
        "shown_jobs": [_shown(request, job) for job in page.items],
        "statistics": found,
        "cards": _cards(found),
        "by_type": [
            (name_of(each), [(State(name).label, n) for name, n in counts.items()])
            for each, counts in found.by_type.items()
        ],
        "state": state,
        "type": job_type,
        "is_narrowed": bool(state or job_type),
        "state_choices": State.choices,
        "type_choices": [(each, name_of(each)) for each in found.by_type],
        "here": request.get_full_path(),
    }


def _cards(found: queries.Statistics) -> list[tuple[str, str, int]]:
    """Icon, label and number."""
    count = found.by_state.get
    waiting = sum(count(state, 0) for state in UNFINISHED if state != State.ACTIVE)
    return [
        ("list-check", _("All jobs"), found.total),
        ("loader", _("Active"), count(State.ACTIVE, 0)),
        ("clock", _("Waiting or paused"), waiting),
        ("circle-check", _("Completed"), count(State.COMPLETED, 0)),
        ("alert-octagon", _("Failed"), count(State.FAILED, 0)),
    ]


def _shown(request: OrganizationRequest, job: Job) -> ShownJob:
    job.organization = request.organization
    known = job_type_named(job.type)
    url = known.page(job) if known and known.page else ""
    allowed = _ALLOWED.get(job.state, ()) if _may_change(request.principal, job) else ()
    return ShownJob(job, name_of(job.type), url, allowed)


def _may_change(principal: Principal, job: Job) -> bool:
    known = job_type_named(job.type)
    return known is not None and principal.may(f"{known.area}:write")
