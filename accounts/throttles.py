"""Every address where somebody may try a secret or have mail sent, and what limits it.

``PASSWORD_VIEWS`` are limited where passwords are looked at (:mod:`accounts.sign_in`); a test
compares the three lists with the addresses that there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network, ip_address

from django.http import HttpRequest
from django.utils.http import url_has_allowed_host_and_scheme

from frame.rate_limits import Claim, Limit, take
from odavl.wire.errors import RateLimited

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_IPV6_NETWORK = 64
"""Bits of an IPv6 address that are one customer's."""


@dataclass(frozen=True, slots=True)
class ThrottledView:
    """Something that is limited by address however it ends, such as asking for a message."""

    name: str
    limits: tuple[Limit, ...]


PASSWORD_VIEWS = frozenset({"account_login", "account_reauthenticate", "account_change_password"})
THROTTLED_VIEWS = {
    # Each of these makes an account, or has a message sent.
    "account_signup": ThrottledView("signup", (Limit(10, 10 * _MINUTE), Limit(50, _DAY))),
    "account_reset_password": ThrottledView("reset", (Limit(10, 10 * _MINUTE), Limit(50, _DAY))),
    # A link's secret; opened, looked at and sent it is three requests.
    "account_reset_password_from_key": ThrottledView("key", (Limit(30, 10 * _MINUTE),)),
    "account_confirm_email": ThrottledView("confirm", (Limit(30, 10 * _MINUTE),)),
}
_ALSO_WHEN_READ = frozenset({"account_reset_password_from_key", "account_confirm_email"})
UNKNOWN_KEYS = (Limit(20, 5 * _MINUTE), Limit(60, _HOUR), Limit(200, _DAY))
UNLIMITED_VIEWS = frozenset(
    {
        "account_logout",
        "account_inactive",
        "account_email_verification_sent",
        "account_reset_password_done",
        "account_reset_password_from_key_done",
        # Only for who is signed in and has no password yet.
        "account_set_password",
        # Only after a code was asked for, which is switched off.
        "account_confirm_login_code",
    }
)


def throttle_view(request: HttpRequest, view_name: str) -> None:
    """Raises :class:`odavl.wire.errors.RateLimited` where the address came too often."""
    view = THROTTLED_VIEWS.get(view_name)
    if view is not None and (request.method == "POST" or view_name in _ALSO_WHEN_READ):
        throttle(request, view)


def is_local_path(url: str | None) -> bool:
    """Whether ``url`` is a path of this hub: the only place to which a view leads people on.

    Other hosts that are answered (``ALLOWED_HOSTS``) may be other people's.
    """
    return bool(url) and str(url).startswith("/") and url_has_allowed_host_and_scheme(url, None)


def wrong_key(request: HttpRequest) -> None:
    """An unknown API key was sent. Raises :class:`RateLimited` where the address sent many.

    A key cannot be guessed, so the right one is taken from that address all the same.
    """
    _count(Claim(f"key:{address_counted(request)}", UNKNOWN_KEYS), "Too many unknown API keys.")


def throttle(request: HttpRequest, view: ThrottledView) -> None:
    """One more request of ``view`` from this address. Raises :class:`RateLimited`."""
    _count(Claim(f"{view.name}:{address_counted(request)}", view.limits), "Too many requests.")


def address_counted(request: HttpRequest | None) -> str:
    """The client's address, of IPv6 the network that one customer has; "-" without one."""
    text = str(request.META.get("REMOTE_ADDR") or "") if request is not None else ""
    try:
        address = ip_address(text)
    except ValueError:
        return "-"
    if isinstance(address, IPv6Address):
        return str(IPv6Network((int(address), _IPV6_NETWORK), strict=False).network_address)
    return text


def _count(claim: Claim, told: str) -> None:
    refused = take(claim)
    if refused is not None:
        raise RateLimited(told, retry_after=refused.seconds)
