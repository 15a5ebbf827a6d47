"""What django-allauth asks us: who may sign up, and where people land after signing in."""

from __future__ import annotations

from allauth.account.adapter import DefaultAccountAdapter
from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse

from accounts.models import User
from accounts.queries import first_organization_of


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # the library has no types
    def is_open_for_signup(self, request: HttpRequest) -> bool:  # noqa: ARG002 - the library's signature
        """Closed unless the operator opened it: a hub at work is not for strangers."""
        return bool(settings.SIGNUP_OPEN)

    def get_login_redirect_url(self, request: HttpRequest) -> str:
        """The overview of the person's first organization, in the language of the request."""
        user = request.user
        organization = first_organization_of(user) if isinstance(user, User) else None
        if organization is None:
            return str(settings.LOGIN_REDIRECT_URL)
        return reverse("dashboard:overview", args=[organization.slug])
