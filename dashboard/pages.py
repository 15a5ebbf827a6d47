"""Where people land, and the overview of an organization's projects."""

from __future__ import annotations

from typing import cast

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from accounts.models import User
from accounts.page_access import OrganizationRequest, organization_page
from accounts.queries import first_organization_of
from dashboard.queries import organization_overview

_LATEST_RUNS = 10


@login_required
def home(request: HttpRequest) -> HttpResponse:
    """To the organization that the person joined first."""
    organization = first_organization_of(cast("User", request.user))
    if organization is None:
        return render(request, "dashboard/no_organization.html")
    return redirect("dashboard:overview", organization_slug=organization.slug)


@organization_page
def overview(request: OrganizationRequest) -> HttpResponse:
    seen = organization_overview(request.organization, latest_runs=_LATEST_RUNS)
    context = {
        "organization": request.organization,
        "section": "overview",
        "states": seen.states,
        "totals": seen.totals,
        "latest_runs": seen.latest_runs,
        "login_command": f"odavl login --hub {settings.PUBLIC_URL} --token -",
    }
    return render(request, "dashboard/overview.html", context)
