"""The operators' pages (Django's admin), without a door of their own."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from accounts.throttles import is_local_path


class OperatorsSite(AdminSite):
    """People sign in, out, and change their password at the site's own pages.

    So there is one form for each, with one set of limits, and with what is added to it later.
    """

    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """To the site's sign-in and back; 403 for people who are no operators."""
        del extra_context
        target = request.GET.get(REDIRECT_FIELD_NAME) or request.POST.get(REDIRECT_FIELD_NAME)
        if target is None or not is_local_path(target):
            target = reverse("admin:index")
        if not request.user.is_authenticated:
            return redirect_to_login(target, reverse("account_login"))
        if not self.has_permission(request):
            raise PermissionDenied
        return redirect(target)

    def password_change(  # type: ignore[override]  # the stubs are narrower than Django
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        del request, extra_context
        return redirect("account_change_password")

    def logout(  # type: ignore[override]  # the stubs are narrower than Django
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        del request, extra_context
        # With its method, so that the button signs out; what it sent has the token for that.
        return redirect("account_logout", preserve_request=True)
