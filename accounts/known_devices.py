"""How a browser and an address are known again where somebody signed in before.

A browser keeps a signed cookie that says for whom it once gave the right password, for a year. It
lets nobody in; it only has its own count of wrong passwords, so that whoever guesses elsewhere does
not keep it out. (OWASP: "Slow Down Online Guessing Attacks with Device Cookies".)
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.crypto import salted_hmac

from accounts.models import SignInPlace, User

COOKIE = "odavl_device"
_KEPT = timedelta(days=365)
_SALT = "accounts.known_devices"
_MOST_PEOPLE = 5
_MOST_PLACES = 20


@dataclass(frozen=True, slots=True)
class Device:
    """``name`` tells browsers apart; ``people`` are those who signed in, the last one first."""

    name: str
    people: tuple[int, ...]


def device_of(request: HttpRequest) -> Device | None:
    """The browser's own cookie; None without one, and for any that we did not sign."""
    try:
        read = signing.loads(request.COOKIES.get(COOKIE, ""), salt=_SALT, max_age=_KEPT)
        return Device(str(read["name"]), tuple(int(person) for person in read["people"]))
    except (signing.BadSignature, ValueError, TypeError, KeyError):
        return None


def remember_device(request: HttpRequest, response: HttpResponse, user: User) -> None:
    """Have the browser say from now on that ``user`` signed in with it."""
    known = device_of(request) or Device(secrets.token_urlsafe(12), ())
    others = tuple(person for person in known.people if person != user.pk)
    people = (user.pk, *others)[:_MOST_PEOPLE]
    response.set_cookie(
        COOKIE,
        signing.dumps({"name": known.name, "people": people}, salt=_SALT),
        max_age=_KEPT,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


def is_place_of(user: User | None, address: str) -> bool:
    """Whether ``user`` signed in from ``address`` within a year. One query, also for None."""
    rows = SignInPlace.objects.filter(
        user_id=user.pk if user else 0,
        digest=_digest(address),
        seen_at__gt=timezone.now() - _KEPT,
    )
    return rows.exists()


def remember_place(user: User, address: str) -> None:
    """Note that ``user`` signed in from ``address``; the oldest of many are forgotten."""
    SignInPlace.objects.update_or_create(
        user=user, digest=_digest(address), defaults={"seen_at": timezone.now()}
    )
    newest = user.sign_in_places.order_by("-seen_at").values("pk")[:_MOST_PLACES]
    user.sign_in_places.exclude(pk__in=newest).delete()


def _digest(address: str) -> str:
    return salted_hmac("accounts.places", address, algorithm="sha256").hexdigest()
