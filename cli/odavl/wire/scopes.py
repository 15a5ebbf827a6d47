"""What an API key may do: ``<area>:<level>``, where admin implies write and write implies read."""

from __future__ import annotations

from collections.abc import Iterable

AREAS: tuple[str, ...] = ("insight", "autopilot", "guardian", "storage", "usage", "projects")
LEVELS: tuple[str, ...] = ("read", "write", "admin")
_PRODUCT_AREAS = ("insight", "autopilot", "guardian")

ALL_SCOPES: tuple[str, ...] = tuple(f"{area}:{level}" for area in AREAS for level in LEVELS)

PRESETS: dict[str, tuple[str, ...]] = {
    "ci": tuple(f"{area}:{'write' if area in _PRODUCT_AREAS else 'read'}" for area in AREAS),
    "read-only": tuple(f"{area}:read" for area in AREAS),
    "all": tuple(f"{area}:admin" for area in AREAS),
}
"""Named sets: ``ci`` writes for the three products and reads the rest."""


def implied(scopes: Iterable[str]) -> frozenset[str]:
    """``scopes`` and everything that they imply; what is no scope is left out."""
    found: set[str] = set()
    for scope in scopes:
        area, _, level = scope.partition(":")
        if area in AREAS and level in LEVELS:
            found.update(f"{area}:{lower}" for lower in LEVELS[: LEVELS.index(level) + 1])
    return frozenset(found)


def unknown(scopes: Iterable[str]) -> tuple[str, ...]:
    """Those of ``scopes`` that do not exist, in their order."""
    return tuple(scope for scope in scopes if scope not in ALL_SCOPES)
