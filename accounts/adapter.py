"""What django-allauth asks us: who may sign up, where people land, and what is noted of it."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core import context
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from accounts.devices import remember_device, remember_place
from accounts.doors import address_counted
from accounts.guessing import forget_guesses
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

    def get_client_ip(self, request: HttpRequest) -> str:
        """The address that odavl_hub.proxies settled; "-" for who comes through a Unix socket."""
        return str(request.META.get("REMOTE_ADDR") or "-")

    def is_safe_url(self, url: str | None) -> bool:
        """Whether ``url`` leads to this very host: other hosts that are answered may be others'."""
        request: HttpRequest = context.request
        return url_has_allowed_host_and_scheme(
            url, allowed_hosts={request.get_host()}, require_https=request.is_secure()
        )

    def post_login(self, request: HttpRequest, user: User, **how: Any) -> HttpResponse:
        response: HttpResponse = super().post_login(request, user, **how)
        remember_place(user, address_counted(request))
        remember_device(request, response, user)
        return response

    def set_password(self, user: User, password: str) -> None:
        super().set_password(user, password)
        forget_guesses(context.request, user)
