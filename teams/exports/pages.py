"""What people do for a whole organization from its pages."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponseRedirect
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from accounts import navigation
from accounts.page_access import OrganizationRequest, member_page
from teams.exports import services


@require_POST
@member_page
def export(request: OrganizationRequest) -> HttpResponseRedirect:
    """Everything of the organization; then to the jobs, where its progress moves."""
    services.start(by=request.principal, project=None)
    messages.success(
        request, _("The export is being made. It will lie in the storage for seven days.")
    )
    return redirect(navigation.path_of(navigation.JOBS, request.organization))
