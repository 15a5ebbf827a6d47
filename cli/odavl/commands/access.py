"""Which hub is talked to, and with which key: the one place where the two are put together.

A project's file may name a hub, and the project may be a stranger's. So an address that only it
names gets no key but the one that was signed in with at that very address; the keys of
environment, flags and home go where the person sends them, as if the project had said nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from odavl.wire.errors import NotAuthenticated

if TYPE_CHECKING:
    from odavl.hub.credentials import Credentials
    from odavl.project.config import Settings

DEFAULT_ADDRESS = "http://localhost:8000"
"""Where ``make run`` serves."""


@dataclass(frozen=True, kw_only=True)
class Access:
    """``address`` is None where nothing names a hub, ``token`` where there is no key for it."""

    address: str | None
    token: str | None
    organization_id: str | None
    withheld: str = ""
    """What is said of a key that was not used."""
    refusal: NotAuthenticated | None = None
    """Why nothing is sent to, or put aside for, an address that only the project names."""


def access(settings: Settings, credentials: Credentials) -> Access:
    """Raises as reading ``credentials`` does."""
    address = known_address(settings, credentials)
    if is_only_the_projects(settings, credentials):
        return _access_of_project(settings, credentials, str(address))
    hub = address or DEFAULT_ADDRESS
    return Access(
        address=address,
        token=settings.api_key or credentials.token(hub),
        organization_id=settings.organization_id or _signed_in_to(settings, credentials, hub),
    )


def known_address(settings: Settings, credentials: Credentials) -> str | None:
    """The hub's address: configured, else the one last signed in to."""
    return settings.cloud_api or credentials.load().current


def is_only_the_projects(settings: Settings, credentials: Credentials) -> bool:
    """Whether the hub's address is one that the person would not be sent to without the project."""
    if settings.places.get("cloud_api") != "project":
        return False
    own = settings.own_cloud_api or credentials.load().current or DEFAULT_ADDRESS
    return settings.cloud_api != own


def _access_of_project(settings: Settings, credentials: Credentials, address: str) -> Access:
    token = credentials.token(address)
    if token is None:
        return Access(
            address=address,
            token=None,
            organization_id=None,
            refusal=not_signed_in(settings, address),
        )
    signed_in = credentials.load().hubs[address]
    withheld = ""
    if settings.api_key:
        withheld = (
            f"{settings.sources['api_key']} is not sent to {address}, which only "
            f"{settings.sources['cloud_api']} names; the sign-in there is used "
            f"(to use your key: --hub {address})."
        )
    return Access(
        address=address,
        token=token,
        organization_id=settings.organization_id or signed_in.organization_id,
        withheld=withheld,
    )


def not_signed_in(settings: Settings, address: str) -> NotAuthenticated:
    """Why an address that only the project's file names gets nothing."""
    return NotAuthenticated(
        f"{settings.sources['cloud_api']} names the hub {address}, where you have not signed in: "
        "no key and no result goes there.",
        hint=f"If that is your hub: odavl login --hub {address} --token - (in CI, set "
        "ODAVL_CLOUD_API to it); else name yours with --hub.",
    )


def _signed_in_to(settings: Settings, credentials: Credentials, hub: str) -> str | None:
    if settings.api_key:
        return None  # that key may belong to another organization than the sign-in
    found = credentials.load().hubs.get(hub)
    return found.organization_id if found else None
