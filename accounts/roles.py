"""What each role may do, in the scopes that API keys use: one rule for pages and API."""

from __future__ import annotations

from odavl.wire.scopes import AREAS, PRESETS, implied

ROLES_BY_POWER: tuple[str, ...] = ("viewer", "member", "admin", "owner")

_SCOPES: dict[str, frozenset[str]] = {
    "owner": implied(PRESETS["all"]),
    "admin": implied(PRESETS["all"]),
    "member": implied(f"{area}:write" for area in AREAS),
    "viewer": implied(PRESETS["read-only"]),
}


def scopes_of_role(role: str) -> frozenset[str]:
    """All scopes, implied ones included; none for a role that does not exist."""
    return _SCOPES.get(role, frozenset())


def is_at_least(role: str, least: str) -> bool:
    """Whether ``role`` has the power of ``least`` or more."""
    return ROLES_BY_POWER.index(role) >= ROLES_BY_POWER.index(least)
