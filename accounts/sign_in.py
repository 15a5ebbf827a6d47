"""The one place where passwords are looked at, and what django-allauth asks about it."""

from __future__ import annotations

from allauth.account.auth_backends import AuthenticationBackend
from allauth.account.forms import ChangePasswordForm as LibraryChangePasswordForm
from allauth.core import context
from django.contrib.auth import authenticate
from django.http import HttpRequest

from accounts.brute_force import password_attempt
from accounts.models import User


class GuardedBackend(AuthenticationBackend):  # type: ignore[misc]  # the library has no types
    """Behind every ``authenticate()``, whoever calls it: no door can leave the limits out."""

    def authenticate(self, request: HttpRequest | None, **credentials: object) -> User | None:
        """The person, or None. Raises :class:`odavl.wire.errors.RateLimited`."""
        email = credentials.get("email") or credentials.get("username") or ""
        with password_attempt(request, str(email)) as attempt:
            user: User | None = super().authenticate(request, **credentials)
            if user is not None:
                attempt.was_right()
        return user


class ChangePasswordForm(LibraryChangePasswordForm):  # type: ignore[misc]  # the library has no types
    """The library's own form compares the old password by itself, past every limit."""

    def clean_oldpassword(self) -> str:
        password = str(self.cleaned_data.get("oldpassword", ""))
        found = authenticate(context.request, email=self.user.email, password=password)
        if found is None or found.pk != self.user.pk:
            return str(super().clean_oldpassword())
        return password
