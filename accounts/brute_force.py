"""How often somebody may give a wrong password, or another wrong secret.

One rule for every door; decisions/0025 has the reasons. Wrong passwords are counted

- by address and account, and by address: who guesses has to wait, longer each time;
- by account, more loosely, for addresses and browsers that are new to the person. Guesses from many
  addresses are bounded by that, and no single address can spend it;
- by browser, and by nothing else, where the person signed in with it before.

So whoever guesses keeps the person out neither of a browser nor, from elsewhere, of an address from
which they signed in before. The right password costs nothing, and what is refused is not counted.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction
from django.db.models.functions import Lower
from django.http import HttpRequest

from accounts import mail
from accounts.known_devices import device_of, is_place_of
from accounts.models import User
from accounts.services.audit import record
from accounts.throttles import address_counted
from frame.rate_limits import Claim, Limit, give_back, reset, take
from odavl.wire.errors import RateLimited

_log = logging.getLogger(__name__)

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
AT_AN_ADDRESS_FOR_AN_ACCOUNT = (Limit(5, 5 * _MINUTE), Limit(10, _HOUR), Limit(30, _DAY))
AT_AN_ADDRESS = (Limit(20, 5 * _MINUTE), Limit(60, _HOUR), Limit(200, _DAY))
FOR_AN_ACCOUNT = (Limit(60, _HOUR), Limit(240, _DAY))
"""Twice and eight times what one address may: no address spends it alone."""
IN_A_BROWSER = (Limit(10, 5 * _MINUTE), Limit(30, _HOUR), Limit(60, _DAY))
_NOTED = (Limit(1, _DAY),)


class Attempt:
    """One password that was let in to be looked at."""

    def __init__(self, claims: tuple[Claim, ...]) -> None:
        self._claims = claims

    def was_right(self) -> None:
        """It was no guess, so it is not counted."""
        give_back(*self._claims)


@contextmanager
def password_attempt(request: HttpRequest | None, email: str) -> Iterator[Attempt]:
    """Around every look at a password. Raises :class:`RateLimited` with the seconds to wait.

    ``email`` as it was typed: accounts that there are and those that there are not are counted
    alike. A failure of ours within is counted as nobody's guess.
    """
    user = _user(email)
    account = f"user:{user.pk}" if user else f"text:{_short(email.strip().casefold())}"
    claims = _claims(request, user, account)
    refused = take(*claims)
    if refused is not None:
        if refused.claim.name.startswith("account:") and user is not None:
            _report(user)
        raise RateLimited("Too many wrong passwords.", retry_after=refused.seconds)
    attempt = Attempt(claims)
    try:
        yield attempt
    except BaseException:
        attempt.was_right()
        raise


def reset_attempts(request: HttpRequest, user: User) -> None:
    """``user`` proved by a message who they are: what was guessed at this address is history."""
    reset(_at_address_for(address_counted(request), f"user:{user.pk}"))


def _claims(request: HttpRequest | None, user: User | None, account: str) -> tuple[Claim, ...]:
    address = address_counted(request)
    is_known_place = is_place_of(user, address)
    device = device_of(request) if request is not None else None
    if device is not None and user is not None and user.pk in device.people:
        return (Claim(f"browser:{_short(device.name)}:{account}", IN_A_BROWSER),)
    claims = (
        _at_address_for(address, account),
        Claim(f"address:{address}", AT_AN_ADDRESS),
    )
    if is_known_place:
        return claims
    return (*claims, Claim(f"account:{account}", FOR_AN_ACCOUNT))


def _at_address_for(address: str, account: str) -> Claim:
    return Claim(f"pair:{address}:{account}", AT_AN_ADDRESS_FOR_AN_ACCOUNT)


def _user(email: str) -> User | None:
    """Whose user name ``email`` is. Further addresses of people, which nobody checked, are not."""
    address = email.strip().lower().replace("\x00", "")
    found: User | None = User.objects.alias(lower=Lower("email")).filter(lower=address).first()
    return found


def _short(text: str) -> str:
    """A name for ``text``, which may be long and is nobody's business, in a counter's key."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]


def _report(user: User) -> None:
    """Guesses from many addresses: log, audit log and the person are told, once a day."""
    if take(Claim(f"noted:{user.pk}", _NOTED)) is not None:
        return
    _log.warning(
        "Passwords for person %s are guessed from many addresses; from new addresses nobody signs "
        "in as this person for a while.",
        user.pk,
    )
    with transaction.atomic():
        for organization in user.organizations.all():
            record(
                organization=organization,
                action="sign_in.limited",
                target=user.email,
                details={"reason": "wrong passwords from many addresses"},
            )
    mail.write(mail.GUESSING.name, user)
