"""What django-allauth asks us: who may sign up, where people land, and what is noted of it."""

from __future__ import annotations

import logging
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailAddress
from allauth.core import context
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from accounts import mail, navigation
from accounts.brute_force import reset_attempts
from accounts.known_devices import remember_device, remember_place
from accounts.models import User
from accounts.queries import first_organization_of
from accounts.throttles import address_counted, is_local_path

_log = logging.getLogger(__name__)


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # the library has no types
    def is_open_for_signup(self, _request: HttpRequest) -> bool:
        """Closed unless the operator opened it: a hub at work is not for strangers.

        And where no mail is sent: only a message may tell that an address has an account.
        """
        return bool(settings.SIGNUP_OPEN) and mail.is_configured()

    def get_login_redirect_url(self, request: HttpRequest) -> str:
        """The overview of the person's first organization, in the language of the request."""
        user = request.user
        organization = first_organization_of(user) if isinstance(user, User) else None
        if organization is None:
            return str(settings.LOGIN_REDIRECT_URL)
        return navigation.path_of(navigation.OVERVIEW, organization)

    def get_client_ip(self, request: HttpRequest) -> str:
        """The address that frame.proxies settled; "-" for who comes through a Unix socket."""
        return str(request.META.get("REMOTE_ADDR") or "-")

    def is_safe_url(self, url: str | None) -> bool:
        return is_local_path(url)

    def send_mail(self, template_prefix: str, email: str, context: dict[str, object]) -> None:
        if not mail.is_configured():
            _log.warning(
                "A letter was asked for, and this hub sends none (EMAIL_HOST). "
                "`manage.py reset_link ADDRESS` prints a link to a new password."
            )
            return
        message = self.render_mail(template_prefix, email, context)
        # Made all the same, so that an address without an account takes as long.
        is_for_nobody = template_prefix == "account/email/unknown_account"
        if mail.may_send(email) and not is_for_nobody:
            mail.send(message)

    def send_account_already_exists_mail(self, email: str) -> None:
        # What a new account costs above all, so that the time does not tell what the page does not.
        make_password(email)
        super().send_account_already_exists_mail(email)

    def get_reset_password_from_key_url(self, key: str) -> str:
        """At the hub's own address, whatever ``Host`` the request named."""
        return f"{settings.PUBLIC_URL}{mail.path_of_key(key)}"

    def get_email_confirmation_url(self, _request: HttpRequest, emailconfirmation: Any) -> str:
        path = reverse("account_confirm_email", args=[emailconfirmation.key])
        return f"{settings.PUBLIC_URL}{path}"

    def pre_login(
        self, request: HttpRequest, user: User, *, signup: bool, **how: object
    ) -> HttpResponse | None:
        is_new = settings.SIGNUP_OPEN and not EmailAddress.objects.filter(user=user).exists()
        if is_new and not signup:
            # An operator or a member made this account: they knew whose address it is.
            EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
        answer: HttpResponse | None = super().pre_login(request, user, signup=signup, **how)
        return answer

    def post_login(self, request: HttpRequest, user: User, **how: object) -> HttpResponse:
        response: HttpResponse = super().post_login(request, user, **how)
        remember_place(user, address_counted(request))
        remember_device(request, response, user)
        return response

    def set_password(self, user: User, password: str) -> None:
        """By a link or with the old password: it is the person, and this is a place of theirs."""
        super().set_password(user, password)
        reset_attempts(context.request, user)
        remember_place(user, address_counted(context.request))
